"""Restore what the backups promise into a cluster of its own, measure loss and time, and prove that this can fail."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ..outcome import Outcome
from .claims import slot_of
from .context import Context
from .errors import BackupError, Code
from .job import Done, Job, Work, run_job
from .scratch import ScratchPlace

KINDS = ("physical", "logical", "canary")


@dataclass(frozen=True)
class DrillRequest:
    """What to restore: a physical drill goes to `at` or a random second, a logical one takes set `seq` or the newest.

    `identity` opens logical sets; `seed` repeats a random choice.
    """

    kind: str = "physical"
    at: datetime | None = None
    seq: int = 0
    identity: Path | None = None
    seed: int | None = None


def drill(context: Context, request: DrillRequest, *, dry_run: bool = False) -> Outcome:
    """Run a drill; raises DRILL_FAILED, RTO_OVER, RPO_OVER and whatever a restore raises, all data told before."""
    if request.kind not in KINDS:
        raise BackupError(Code.CONFIG, f"{request.kind!r} is no drill", hint=f"one of {', '.join(KINDS)}")
    place = place_of(context, request.kind)
    if dry_run:
        return Outcome(False, f"would restore into {place.root}", {"code": 0, "lines": []})
    job = Job(f"drill-{request.kind}", slot_of(datetime.now(UTC)))
    return run_job(context, job, lambda work: _body(request.kind)(work, request, place))


def _body(kind: str) -> Callable[[Work, DrillRequest, ScratchPlace], Done]:
    # Each reads much that the others do not need.
    if kind == "physical":
        from .drill_physical import drill_physical

        return drill_physical
    if kind == "logical":
        from .drill_logical import drill_logical

        return drill_logical
    from .canary import canary

    return canary


def place_of(context: Context, kind: str) -> ScratchPlace:
    """Return where a drill restores: below a directory that holds nothing else, so that leftovers may be removed."""
    config = context.config
    ports = {"physical": 5497, "logical": 5498, "canary": 5496}
    return ScratchPlace(
        config.scratch_dir / f"drill-{kind}", config.cluster.bin_dir, config.cluster.user, ports.get(kind, 5499)
    )


def be_nice() -> None:
    """Let the shop go first: everything that a drill starts inherits it."""
    os.nice(10)
