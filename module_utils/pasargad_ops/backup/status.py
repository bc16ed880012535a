"""Show on one screen whether the store could be brought back, how far, and what to do next."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from ..outcome import Outcome
from .archiver import LOOK, read_archiver, trouble
from .chain import Entry
from .context import Context
from .errors import BackupError, Code
from .facts import last_heartbeat
from .job import as_failure, places_of
from .notices import notices_waiting
from .proofs import Proof, load_proofs
from .telling import last_endings
from .walk import HINT
from .windows import Windows, told

JOBS = ("physical", "logical", "verify", "drill-physical", "drill-logical", "drill-canary", "retain")
# What people do by hand: how it ended is shown, and is no trouble of today.
BY_HAND = ("restore", "rescue")
# After so long a nightly set is late; it is also what the shop's own health check takes for too old.
LATE_SECONDS = 26 * 3600.0


@dataclass
class Screen:
    """What is shown, and the first trouble that was met."""

    lines: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    trouble: BackupError | None = None

    def show(self, name: str, words: str) -> None:
        self.lines.append(f"{name:<14} {words}")

    def complain(self, error: BackupError) -> None:
        self.trouble = self.trouble or error

    def try_to(self, name: str, act: Callable[[], None]) -> None:
        """Show a part; when it cannot be, its line says why, and the others stand all the same."""
        try:
            act()
        except Exception as error:
            failure = as_failure(error)
            self.show(name, f"UNKNOWN: {failure.message}")
            self.complain(failure)


def status(context: Context) -> Outcome:
    """Gather everything; the code is 0 when all is well, else that of the first trouble. Changes nothing.

    Each part that does not answer has its line within half a minute; the others stand all the same.
    """
    screen, context = Screen(), context.hurried
    screen.try_to("sets", lambda: _sets(context, screen))
    screen.try_to("window", lambda: _window(context, screen))
    screen.try_to("now", lambda: _now(context, screen))
    screen.try_to("jobs", lambda: _jobs(context, screen))
    screen.try_to("outbox", lambda: _outbox(context, screen))
    error = screen.trouble
    code = error.code if error else Code.DONE
    summary = f"the store {'could be brought back' if error is None else f'needs a look: {error.message}'}"
    if error and error.hint:
        screen.show("next", error.hint)
    return Outcome(False, summary, {**screen.details, "code": int(code), "lines": screen.lines})


def _sets(context: Context, screen: Screen) -> None:
    chain, proofs, now = context.chain(), load_proofs(context.config.proofs_file), time.time()
    screen.details["chain"] = {"seq": chain.head.seq, "sha256": chain.head.sha256, "sound": not chain.findings}
    for kind in ("physical", "logical"):
        entries = [entry for entry in chain.offered if entry.manifest.kind == kind]
        screen.details[kind] = [_as_record(entry, proofs) for entry in entries[-1:]]
        if not entries:
            screen.show(f"{kind} set", "NONE yet")
            screen.complain(_missing(kind))
            continue
        newest = entries[-1]
        age = now - newest.manifest.times.end_ms / 1000
        proof = proofs.get(newest.manifest.run_id, Proof())
        drilled = max((proofs.get(entry.manifest.run_id, Proof()).drilled_at for entry in entries), default=0)
        words = (
            f"set {newest.seq}, {span(age)} old, {size(newest.manifest.bytes)}, {_proven(proof)}; {len(entries)} sets"
        )
        screen.show(f"{kind} set", f"{words}; last drill {span(now - drilled) + ' ago' if drilled else 'NEVER'}")
        if age > LATE_SECONDS:
            screen.complain(_late(kind, age))
        if proof.flaw:
            screen.complain(BackupError(Code.INTEGRITY, f"set {newest.seq}: {proof.flaw}", hint=_again(kind)))
    sound = "sound" if not chain.findings else f"BROKEN: {chain.findings[0].text}"
    screen.show("chain", f"head {chain.head.seq} {chain.head.sha256[:12] or '-'}, {sound}")
    if chain.findings:
        first = chain.findings[0]
        screen.complain(BackupError(first.code, first.text, hint=HINT))


def _as_record(entry: Entry, proofs: dict[str, Proof]) -> dict[str, Any]:
    manifest, proof = entry.manifest, proofs.get(entry.manifest.run_id, Proof())
    return {
        "seq": entry.seq,
        "kind": manifest.kind,
        "run_id": manifest.run_id,
        "at": manifest.times.end_ms / 1000,
        "bytes": manifest.bytes,
        "tier": manifest.tier,
        "label": manifest.physical.label if manifest.physical else "",
        "level": proof.level,
        "drilled_at": proof.drilled_at,
        "flaw": proof.flaw,
        "marked": entry.marked,
    }


def _proven(proof: Proof) -> str:
    if proof.flaw:
        return f"FLAW: {proof.flaw}"
    return f"proven to level {proof.level}"


def _again(kind: str) -> str:
    return f"pasargad-ops backup {kind} --slot {datetime.now(UTC):%Y-%m-%d-%H%M}"


def _missing(kind: str) -> BackupError:
    return BackupError(Code.INTEGRITY, f"there is no {kind} set yet", hint=_again(kind))


def _late(kind: str, age: float) -> BackupError:
    return BackupError(
        Code.INTEGRITY,
        f"the newest {kind} set is {span(age)} old",
        hint=f"journalctl -u pasargad-backup-{kind} -e; then {_again(kind)}",
    )


def _window(context: Context, screen: Screen) -> None:
    found: Windows = context.repository.windows()
    screen.details["windows"] = [[window.since, window.until] for window in found.windows]
    spans = [f"{told(window.since)} to {told(window.until)}" for window in found.windows]
    screen.show("restorable", "; ".join(spans[-3:]) if spans else "NO point in time")
    if not spans:
        why = "; ".join(f"{each.label}: {each.why}" for each in found.unusable) or "there is no backup"
        words = f"no point in time can be restored: {why}"
        hint = f"pasargad-ops backup physical --kind full --slot {_slot()}"
        screen.complain(BackupError(Code.TARGET_TIME, words, hint=hint))
    for broken in found.breaks[-1:]:
        screen.show("gap", broken.why)
        if broken.until is None:
            # Later ones have a backup after them: those points in time are lost, and nothing can be done about it.
            hint = f"pasargad-ops backup physical --kind full --slot {_slot()}"
            screen.complain(BackupError(Code.WAL_GAP, broken.why, hint=hint))


def _slot() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d-%H%M}"


def _now(context: Context, screen: Screen) -> None:
    with context.database() as connection:
        archiver = read_archiver(connection)
        heartbeat = last_heartbeat(connection)
        connection.rollback()
    behind = archiver.silent_seconds if archiver.last_archived_at else None
    screen.details["rpo_seconds"] = behind
    beat = f"heartbeat {span(archiver.now - heartbeat.at_ms / 1000)} ago" if heartbeat else "NO heartbeat"
    arrived = "NO WAL arrived yet" if behind is None else f"WAL arrived {span(behind)} ago"
    screen.show("loss now", f"{arrived}, {archiver.ready} segments wait; {beat}")
    if words := trouble(archiver):
        screen.complain(BackupError(Code.ARCHIVER, words, hint=LOOK))
    silence = context.config.bounds.wal_silence_seconds
    if heartbeat is None or archiver.now - heartbeat.at_ms / 1000 > silence:
        words = "nothing writes the heartbeat, by which loss is measured"
        hint = "systemctl status pasargad-backup-heartbeat.timer; journalctl -u pasargad-backup-heartbeat -e"
        screen.complain(BackupError(Code.RPO_OVER, words, hint=hint))
    elif archiver.silent_seconds > silence:
        # The heartbeat alone makes a segment a minute.
        words = "no WAL has arrived" if behind is None else f"no WAL has arrived for {span(behind)}"
        screen.complain(BackupError(Code.RPO_OVER, words, hint=LOOK))


def _jobs(context: Context, screen: Screen) -> None:
    endings = last_endings(places_of(context), (*JOBS, *BY_HAND))
    screen.details["jobs"] = endings
    for job in (*JOBS, *BY_HAND):
        if job in endings:
            screen.try_to(job, partial(_job, screen, job, endings[job]))


def _job(screen: Screen, job: str, line: dict[str, Any]) -> None:
    good = line["code"] in (Code.DONE, Code.CLAIMED)
    how = "well" if good else f"FAILED with {line['code']}"
    ago = span(time.time() - line["at"])
    screen.show(job, f"{how}, {ago} ago, in {line['seconds']:.0f} s: {line['summary'][:90]}")
    if not good and job in JOBS:
        known = Code(line["code"]) if line["code"] in set(Code) else Code.BROKEN
        screen.complain(BackupError(known, f"{job} failed: {line['summary']}", hint=line.get("hint", "")))


def _outbox(context: Context, screen: Screen) -> None:
    waiting = notices_waiting(context.config.outbox)
    screen.details["outbox"] = waiting
    names = ", ".join(channel.name for channel in context.channels()) or "NOBODY is told: no mail, no Slack"
    screen.show("notices", f"{waiting} wait to be sent; channels: {names}")


def sets(context: Context) -> Outcome:
    """List every set that is in the chain, oldest first."""
    chain, proofs = context.chain(), load_proofs(context.config.proofs_file)
    records = [_as_record(entry, proofs) for entry in chain.entries]
    lines = [f"{'seq':>5}  {'kind':<8}  {'made (UTC)':<16}  {'size':>9}  {'tier':<7}  proven"]
    for one in records:
        made = datetime.fromtimestamp(one["at"], UTC).strftime("%Y-%m-%d %H:%M")
        proven = f"FLAW: {one['flaw']}" if one["flaw"] else f"level {one['level']}"
        proven += ", drilled" if one["drilled_at"] else ""
        proven += ", given up" if one["marked"] else ""
        name = f"  {one['label']}" if one["label"] else ""
        lines.append(
            f"{one['seq']:>5}  {one['kind']:<8}  {made}  {size(one['bytes']):>9}  {one['tier']:<7}  {proven}{name}"
        )
    return Outcome(False, f"{len(records)} sets", {"code": 0, "lines": lines, "sets": records})


def span(seconds: float) -> str:
    """Return a length of time as people say it."""
    for unit, name in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{max(0.0, seconds):.0f} s"


def size(count: int) -> str:
    """Return a number of bytes as people say it."""
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} B"
