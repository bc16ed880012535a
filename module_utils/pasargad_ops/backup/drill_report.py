"""Tell how a drill went: signed into the storage, as metrics, and as the code with which it ends."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from .context import Context
from .errors import BackupError, Code
from .job import Done, Work, as_failure
from .proofs import note_proof
from .signatures import seal

BODY = "drill"
# What a restore proves of a set when nothing is wrong.
LEVELS = {"physical": 3, "logical": 4}
AGAIN = "pasargad-ops backup verify --level 2"


@dataclass
class Drilled:
    """One drill, filled in while it runs; times are seconds, `problems` say in words what is wrong.

    `phases` are in order; those up to the first answered query make the RTO. `parts` are pieces of a phase. `rpo` is
    infinite where nobody can tell. `lines` are for people.
    """

    kind: str
    target: str = ""
    label: str = ""
    run_id: str = ""
    seed: int = 0
    rows: int = 0
    rpo: float = 0.0
    phases: dict[str, float] = field(default_factory=dict)
    parts: Mapping[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    _since: float = field(default_factory=time.monotonic)

    def begin(self) -> None:
        """Begin the first phase."""
        self._since = time.monotonic()

    def end(self, phase: str) -> None:
        """Note the phase that has just ended, and begin the next."""
        now = time.monotonic()
        self.phases[phase], self._since = now - self._since, now

    @property
    def rto(self) -> float:
        """Until the first query was answered; the checks after it are no part of getting the shop back."""
        return sum(seconds for name, seconds in self.phases.items() if name != "checks")


@contextlib.contextmanager
def failure_told(work: Work, drilled: Drilled) -> Iterator[None]:
    """Tell also a drill that came to no judgement: else the success of the one before would stand for it."""
    try:
        yield
    except BaseException as error:
        failure = as_failure(error)
        drilled.problems.append(failure.message)
        measure(work, drilled, success=False)
        with contextlib.suppress(Exception):
            report(work, drilled, failure.code)
        # Files that are not what they were are the set's own flaw; a full disk or missing WAL is none.
        if failure.code == Code.INTEGRITY:
            note(work.context, drilled)
        if failure.code == Code.RESTORE_FAILED:
            raise BackupError(failure.code, failure.message, hint=HINTS[Code.DRILL_FAILED]) from error
        raise


def conclude(work: Work, drilled: Drilled) -> Done:
    """Measure, sign and judge a drill; raises DRILL_FAILED, RPO_OVER or RTO_OVER."""
    bounds = work.context.config.bounds
    drilled.problems += idle_phases(drilled)
    code = verdict(drilled, bounds.rpo_seconds, bounds.rto_seconds)
    measure(work, drilled, success=code == Code.DONE)
    note(work.context, drilled)
    try:
        report(work, drilled, code)
    except BackupError as error:
        # A storage that is away must not hide what was found.
        if code == Code.DONE:
            raise
        work.say(f"the report could not be written: {error.message}")
    lines = told(drilled)
    if code == Code.DONE:
        return Done(lines[0], changed=False, lines=tuple(lines), details=as_record(drilled))
    what = drilled.problems[0] if drilled.problems else lines[0]
    more = f" and {len(drilled.problems) - 1} more" if len(drilled.problems) > 1 else ""
    hint = HINTS["canary"] if drilled.kind == "canary" else HINTS[code]
    raise BackupError(code, f"{what}{more}", hint=hint, details={**as_record(drilled), "lines": lines})


HINTS: Mapping[Any, str] = {
    Code.DRILL_FAILED: "do not count on this set: make a new one (pasargad-ops backup physical --kind full "
    f"--slot after-a-drill), then look for the cause: {AGAIN}",
    Code.RPO_OVER: "why does WAL leave late? pasargad-ops backup status; archive_timeout is 60 s",
    Code.RTO_OVER: "a larger host restores faster; or raise backup_rto_seconds, if the shop may be away that long",
    "canary": "do not trust the drills until this is mended; report it",
}


def told(drilled: Drilled) -> list[str]:
    """Return what people are told, the summary first."""
    target = f" to {drilled.target}" if drilled.target else ""
    figures = []
    if drilled.phases:
        lost = "nobody can tell what was lost" if math.isinf(drilled.rpo) else f"{drilled.rpo:.0f} s lost"
        figures = [f"{drilled.rto:.1f} s", *([lost] if drilled.kind == "physical" else [])]
    lines = [f"{drilled.kind} drill of {drilled.label}{target}: {', '.join(figures or ['every damage was noticed'])}"]
    if drilled.phases:
        times = {**drilled.phases, **drilled.parts}
        lines.append(", ".join(f"{name} {seconds:.1f} s" for name, seconds in times.items()))
        lines.append(f"{drilled.rows:,} rows read")
    return [*lines, *drilled.lines, *drilled.problems]


def verdict(drilled: Drilled, rpo_bound: float, rto_bound: float) -> Code:
    """Return how a drill ends; what was restored wrong matters more than how long it took.

    Time and loss are promised of physical sets alone: a logical one is as old as it is.
    """
    if drilled.problems:
        return Code.DRILL_FAILED
    if drilled.kind != "physical":
        return Code.DONE
    if drilled.rpo > rpo_bound:
        return Code.RPO_OVER
    return Code.RTO_OVER if drilled.rto > rto_bound else Code.DONE


def idle_phases(drilled: Drilled) -> list[str]:
    """Return what is wrong with the measuring itself: a phase that took no time was not measured."""
    return [f"the phase {name} took no time" for name, seconds in drilled.phases.items() if seconds <= 0]


def note(context: Context, drilled: Drilled) -> None:
    """Write down what the drill proved of its set, or the flaw that it found."""
    if not drilled.run_id or drilled.kind not in LEVELS:
        return
    note_proof(
        context.config.proofs_file,
        drilled.run_id,
        at=time.time(),
        level=LEVELS[drilled.kind],
        flaw=f"a drill found: {drilled.problems[0]}" if drilled.problems else "",
        drilled=not drilled.problems,
    )


def measure(work: Work, drilled: Drilled, *, success: bool) -> None:
    """Give Prometheus what a drill measured."""
    kind = drilled.kind
    words = "Whether the last drill found everything as it should be."
    work.measure("pasargad_restore_drill_success", words, float(success), type=kind)
    now = datetime.now(UTC).timestamp()
    work.measure("pasargad_restore_drill_timestamp_seconds", "When the last drill ended.", now, type=kind)
    for name, seconds in {**drilled.phases, **drilled.parts}.items():
        work.measure("pasargad_restore_drill_phase_seconds", "How long a phase took.", seconds, type=kind, phase=name)
    # A drill that did not come so far has measured neither.
    if "checks" not in drilled.phases:
        return
    work.measure("pasargad_restore_drill_rto_seconds", "Until the first query was answered.", drilled.rto, type=kind)
    if kind == "physical" and not math.isinf(drilled.rpo):
        words = "What would have been lost: from the newest restored heartbeat to the target."
        work.measure("pasargad_restore_drill_rpo_seconds", words, drilled.rpo, type=kind)
    work.measure("pasargad_restore_drill_rows_checked", "Rows that were read.", drilled.rows, type=kind)


def report(work: Work, drilled: Drilled, code: Code) -> None:
    """Write the signed report beside the sets, where it says years later what was proven when."""
    context = work.context
    moment = context.objects.now()
    body: dict[str, Any] = {**as_record(drilled), "host": context.config.host, "code": int(code), "run": work.run_id}
    body["at_ms"] = int(moment.timestamp() * 1000)
    key = f"{context.place.root}drills/{moment:%Y-%m-%d}/{work.run_id}.json"
    context.objects.put(key, seal(BODY, body, [context.signer]), once=True)


def as_record(drilled: Drilled) -> dict[str, Any]:
    """Return a drill in whole numbers, which alone can be signed: milliseconds; -1 for a loss nobody can tell."""
    return {
        "kind": drilled.kind,
        "target": drilled.target,
        "label": drilled.label,
        "run_id": drilled.run_id,
        "seed": drilled.seed,
        "rows": drilled.rows,
        "problems": list(drilled.problems),
        "phases_ms": {name: round(seconds * 1000) for name, seconds in {**drilled.phases, **drilled.parts}.items()},
        "rto_ms": round(drilled.rto * 1000),
        "rpo_ms": -1 if math.isinf(drilled.rpo) else round(drilled.rpo * 1000),
    }
