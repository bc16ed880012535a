"""Restore what the backups promise into a cluster of its own, measure loss and time, and prove that this can fail."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from .. import shell
from ..outcome import Outcome
from .claims import slot_of
from .context import Context
from .drill_report import Drilled, conclude, failure_told
from .errors import BackupError, Code
from .job import Done, Job, Work, as_failure, run_job
from .scratch import ScratchPlace

PORTS = {"canary": 5496, "physical": 5497, "logical": 5498}
KINDS = tuple(PORTS)
NICE = 10


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


Restore = Callable[[Work, DrillRequest, ScratchPlace, Drilled], None]


def drill(context: Context, request: DrillRequest, *, dry_run: bool = False) -> Outcome:
    """Run a drill; raises DRILL_FAILED, RTO_OVER, RPO_OVER and whatever a restore raises, all data told before."""
    refuse_nonsense(request)
    place = place_of(context, request.kind)
    foresee, restore = _kind(request.kind)
    if dry_run:
        try:
            words = foresee(context, request, place)
        except Exception as error:
            raise as_failure(error) from error
        return Outcome(False, f"would restore {words} into {place.root}", {"code": 0, "lines": []})

    def body(work: Work) -> Done:
        drilled = Drilled(request.kind)
        with failure_told(work, drilled):
            be_nice()
            restore(work, request, place, drilled)
        return conclude(work, drilled)

    return run_job(context, Job(f"drill-{request.kind}", slot_of(datetime.now(UTC))), body)


def _kind(kind: str) -> tuple[Callable[[Context, DrillRequest, ScratchPlace], str], Restore]:
    # Each reads much that the others do not need.
    if kind == "physical":
        from . import drill_physical

        return drill_physical.foresee, drill_physical.restore
    if kind == "logical":
        from . import drill_logical

        return drill_logical.foresee, drill_logical.restore
    from . import canary

    return canary.foresee, canary.restore


def refuse_nonsense(request: DrillRequest) -> None:
    """Raise CONFIG or TARGET_TIME for a request that cannot be meant."""
    if request.kind not in KINDS:
        raise BackupError(Code.CONFIG, f"{request.kind!r} is no drill", hint=f"one of {', '.join(KINDS)}")
    if request.at is not None and request.kind != "physical":
        raise BackupError(Code.TARGET_TIME, "only a physical drill goes to a point in time", hint="leave --at away")
    if request.at is not None and request.at.tzinfo is None:
        raise BackupError(Code.TARGET_TIME, f"{request.at} has no time zone", hint="add one, such as +00:00")
    if request.seq and request.kind != "logical":
        raise BackupError(Code.CONFIG, "only a logical drill takes a set by its number", hint="leave --seq away")


def place_of(context: Context, kind: str) -> ScratchPlace:
    """Return where a drill restores: below a directory that holds nothing else, so that leftovers may be removed.

    Raises CONFIG where that would be in the living cluster's files, or around them.
    """
    config = context.config
    root, living = (config.scratch_dir / f"drill-{kind}").resolve(), config.cluster.data_dir.resolve()
    if root == living or living in root.parents or root in living.parents:
        raise BackupError(
            Code.CONFIG,
            f"drills would restore into {root}, among the files of the living cluster",
            hint="set backup_scratch_dir to a directory of its own, such as /var/lib/pasargad-drill",
        )
    return ScratchPlace(root, config.cluster.bin_dir, config.cluster.user, PORTS[kind])


def be_nice() -> None:
    """Let the shop go first, on the processors and the disk: everything that a drill starts inherits it."""
    os.setpriority(os.PRIO_PROCESS, 0, max(NICE, os.getpriority(os.PRIO_PROCESS, 0)))
    shell.run(["ionice", "--class=best-effort", "--classdata=7", f"--pid={os.getpid()}"], check=False)
