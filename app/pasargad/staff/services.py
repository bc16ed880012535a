"""Changes that the staff's pages make beside those of the shop's own services."""

from __future__ import annotations

from django.apps import apps
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission
from django.db import transaction

from .groups import GROUPS


def groups_ensure() -> dict[str, int]:
    """Make the staff's groups and add the rights that are missing; returns how many each got.

    Nothing is taken away: what an administrator added to a group stays.
    """
    _make_permissions()
    known = {
        f"{app}.{code}": pk
        for pk, app, code in Permission.objects.values_list("pk", "content_type__app_label", "codename")
    }
    if unknown := sorted(set().union(*GROUPS.values()) - known.keys()):
        raise LookupError(f"There are no such rights: {', '.join(unknown)}")
    added = {}
    with transaction.atomic():
        for name, wanted in GROUPS.items():
            group, _ = Group.objects.get_or_create(name=name)
            missing = {known[right] for right in wanted} - set(group.permissions.values_list("pk", flat=True))
            group.permissions.add(*sorted(missing))
            added[name] = len(missing)
    return added


def _make_permissions() -> None:
    """Django makes them after all migrations; whoever comes earlier makes them itself, to the same end."""
    for label in sorted({right.partition(".")[0] for right in set().union(*GROUPS.values())}):
        create_permissions(apps.get_app_config(label), verbosity=0)
