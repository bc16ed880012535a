"""Tell how a drill went: signed into the storage, as metrics, and as the code with which it ends."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .errors import BackupError, Code
from .job import Done, Work
from .proofs import note_proof
from .signatures import seal

BODY = "drill"


@dataclass(frozen=True)
class Drilled:
    """One drill; times are seconds, `problems` says in words what is wrong, `level` what it proves when nothing is."""

    kind: str
    target: str
    run_id: str
    label: str
    phases: Mapping[str, float]
    rto: float
    rpo: float
    rows: int
    problems: tuple[str, ...]
    level: int
    seed: int = 0


def conclude(work: Work, drilled: Drilled) -> Done:
    """Measure, sign and judge a drill; raises DRILL_FAILED, RPO_OVER or RTO_OVER."""
    context, bounds = work.context, work.context.config.bounds
    problems = [*drilled.problems, *idle_phases(drilled)]
    code = verdict(problems, drilled, bounds.rpo_seconds, bounds.rto_seconds)
    measure(work, drilled, success=code == Code.DONE)
    report(work, drilled, code)
    if drilled.run_id:
        flaw = f"a drill found: {problems[0]}" if problems else ""
        note_proof(
            context.config.proofs_file,
            drilled.run_id,
            at=context.objects.now().timestamp(),
            level=drilled.level,
            flaw=flaw,
            drilled=not problems,
        )
    lost = "" if math.isinf(drilled.rpo) else f", {drilled.rpo:.0f} s lost"
    summary = f"{drilled.kind} drill of {drilled.label} to {drilled.target}: {drilled.rto:.1f} s{lost}"
    lines = (
        summary,
        ", ".join(f"{name} {seconds:.1f} s" for name, seconds in drilled.phases.items()),
        f"{drilled.rows:,} rows read",
        *problems,
    )
    if code != Code.DONE:
        what = problems[0] if problems else summary
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        details = {**as_record(drilled), "problems": problems}
        raise BackupError(code, f"{what}{more}", hint=HINTS[code], details=details)
    return Done(summary, changed=False, lines=lines, details=as_record(drilled))


HINTS = {
    Code.DRILL_FAILED: "take this set for lost: make a new one now, then look for the cause: "
    "pasargad-ops backup verify --level 2",
    Code.RPO_OVER: "why does WAL leave late? pasargad-ops backup status; archive_timeout is 60 s",
    Code.RTO_OVER: "a larger host restores faster; or raise backup_rto_seconds, if the shop may be away that long",
}


def verdict(problems: list[str], drilled: Drilled, rpo_bound: float, rto_bound: float) -> Code:
    """Return how a drill ends; what was restored wrong matters more than how long it took."""
    if problems:
        return Code.DRILL_FAILED
    if drilled.rpo > rpo_bound:
        return Code.RPO_OVER
    return Code.RTO_OVER if drilled.rto > rto_bound else Code.DONE


def idle_phases(drilled: Drilled) -> list[str]:
    """Return what is wrong with the measuring itself: a phase that took no time was not measured."""
    return [f"the phase {name} took no time" for name, seconds in drilled.phases.items() if seconds <= 0]


def measure(work: Work, drilled: Drilled, *, success: bool) -> None:
    """Give Prometheus what a drill measured."""
    kind = drilled.kind
    words = "Whether the last drill found everything as it should be."
    work.measure("pasargad_restore_drill_success", words, float(success), type=kind)
    now = datetime.now(UTC).timestamp()
    work.measure("pasargad_restore_drill_timestamp_seconds", "When the last drill ended.", now, type=kind)
    for name, seconds in drilled.phases.items():
        work.measure("pasargad_restore_drill_phase_seconds", "How long a phase took.", seconds, type=kind, phase=name)
    work.measure("pasargad_restore_drill_rto_seconds", "Until the first query was answered.", drilled.rto, type=kind)
    if not math.isinf(drilled.rpo):
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
    """Return a drill in whole numbers, which alone can be signed: milliseconds."""
    record = dataclasses.asdict(drilled)
    record["phases_ms"] = {name: int(seconds * 1000) for name, seconds in record.pop("phases").items()}
    record["rto_ms"] = int(record.pop("rto") * 1000)
    rpo = record.pop("rpo")
    record["rpo_ms"] = -1 if math.isinf(rpo) else int(rpo * 1000)
    return record
