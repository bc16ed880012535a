"""Writing the log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import models

from config.logs import request_id

from .acting import COMMAND, Actor, acting_now
from .masking import name_of
from .models import Entry


def audit_record(
    action: str,
    *,
    target: models.Model | None = None,
    target_type: str = "",
    changes: Mapping[str, Any] | None = None,
    actor: Actor | None = None,
) -> Entry:
    """Write down one act, in the transaction that is open. `changes` must be masked already.

    An act without an author given or going on is a command's.
    """
    author = actor or acting_now() or COMMAND
    return Entry.objects.create(
        actor_id=author.id,
        actor=author.name[:254],
        address=author.address[:45],
        action=action[:40],
        target_type=target._meta.label_lower if target else target_type[:60],
        target_id="" if target is None or target.pk is None else str(target.pk)[:40],
        target=name_of(target) if target else "",
        changes=dict(changes or {}),
        request_id=(request_id.get() or "")[:64],
    )
