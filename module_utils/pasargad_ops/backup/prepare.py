"""Make the repository of physical sets, so that PostgreSQL's WAL has somewhere to go."""

from __future__ import annotations

from ..outcome import Outcome
from .clusters import announce
from .context import Context

# As pgbackrest says of a stanza that is not there.
ABSENT = 1


def prepare(context: Context, *, dry_run: bool = False) -> Outcome:
    """Create the stanza and the cluster's mark unless they are there.

    Raises as Repository does, CONFIG when the stanza belongs to another cluster.
    """
    stanza = context.config.physical.stanza
    if context.repository.info().code != ABSENT:
        if not dry_run:
            announce(context)
        return Outcome(False, f"the repository has the stanza {stanza}", {"code": 0, "lines": []})
    if not dry_run:
        context.repository.stanza_create()
        announce(context)
    return Outcome(True, f"the repository has the new stanza {stanza}", {"code": 0, "lines": []})
