"""Verify all sets, the WAL and the storage around them, and say in one code what is worst."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ..outcome import Outcome
from .archiver import Archiver, judge_archiver, settled_archiver
from .chain import Entry
from .claims import slot_of
from .context import Context
from .errors import BackupError, Code
from .job import Done, Job, Work, run_job
from .measures import VERIFY_AT, VERIFY_SUCCESS, WAL_LAST, WAL_READY
from .proofs import note_proof
from .verify_findings import failure, judged, passed
from .verify_logical import look_into_logical, read_share
from .verify_physical import look_at_repository
from .verify_round import Round
from .verify_storage import look_at_chain, look_at_clock, look_at_locks, look_at_sets, look_at_uploads

NAME = "verify"
LEVELS = (0, 1, 2)
WORDS = (" by their names", ", as are the WAL and the storage around them", ", read to the last byte")


@dataclass(frozen=True)
class VerifyRequest:
    """Level 0 looks at the sets by their names, 1 at everything else that tells without reading, 2 reads every byte.

    `share` lets level 2 read only a part of the logical sets ("3/7", "auto" for the day's seventh), and pgbackrest's
    own bytes only with the last part.
    """

    level: int = 1
    share: str = ""


def verify(context: Context, request: VerifyRequest, *, dry_run: bool = False) -> Outcome:
    """Verify; raises BackupError with the worst code when anything is wrong, having found everything first.

    A dry run reads as much, and keeps what it finds to itself: no metrics, no notice, no proofs, no upload aborted.
    """
    if request.level not in LEVELS:
        raise BackupError(Code.CONFIG, f"{request.level!r} is no level of a verification", hint="use 0, 1 or 2")
    now = datetime.now(UTC)
    share = read_share(request.share, now.isoweekday())
    if dry_run:
        round_ = Round(context, request.level, share, lambda words: None, lambda *_, **__: None, acts=False)
        done = _conclude(round_, _look(round_))
        return Outcome(False, f"would say: {done.summary}", {**done.details, "lines": [*done.lines]})
    job = Job(NAME, f"{slot_of(now)}-v{request.level}")
    return run_job(context, job, lambda work: _verify(work, request.level, share))


def _verify(work: Work, level: int, share: tuple[int, int] | None) -> Done:
    round_ = Round(work.context, level, share, work.say, work.measure, acts=True)
    for each in range(level + 1):
        # Until the end nothing is well: a run that dies in between must not leave the last one's word.
        work.measure(*VERIFY_SUCCESS, 0, level=str(each))
    head = _look(round_)
    for run_id, reached, flaw in judged(round_.flaws, round_.reached):
        note_proof(work.context.config.proofs_file, run_id, at=round_.now.timestamp(), level=reached, flaw=flaw)
    for each in range(level + 1):
        work.measure(*VERIFY_SUCCESS, float(passed(round_.flaws, each)), level=str(each))
        work.measure(*VERIFY_AT, time.time(), level=str(each))
    return _conclude(round_, head)


def _look(round_: Round) -> str:
    """Look at everything, the cheap things first; return the chain's head as people read it."""
    archiver: Archiver | None = None
    if round_.level >= 1:
        # Before the archive is listed: what had arrived by now must be there.
        archiver = round_.attempt(1, lambda: _look_at_archiver(round_))
    chain = round_.attempt(0, lambda: look_at_chain(round_))
    if chain is None:
        # A storage that cannot be walked would fail each check after that once more, each with its patience.
        return ""
    kept = round_.attempt(0, lambda: look_at_sets(round_, chain)) or []
    checks: list[tuple[int, Callable[[], None]]] = [
        (1, lambda: look_at_clock(round_)),
        (1, lambda: look_at_uploads(round_)),
        (1, lambda: look_at_locks(round_, kept)),
        (1, lambda: _look_at_repository(round_, kept, archiver)),
        (2, lambda: look_into_logical(round_, kept)),
    ]
    for level, check in checks:
        if level <= round_.level:
            round_.attempt(level, check)
    return f"{chain.head.seq} {chain.head.sha256}" if chain.head.seq else ""


def _look_at_archiver(round_: Round) -> Archiver:
    silence = round_.context.config.bounds.wal_silence_seconds
    with round_.context.database() as connection:
        found = settled_archiver(connection)
        round_.measure(*WAL_LAST, found.last_archived_at)
        round_.measure(*WAL_READY, found.ready)
        for finding in judge_archiver(found, connection, silence=silence, acts=round_.acts):
            round_.find(1, finding)
    return found


def _look_at_repository(round_: Round, kept: Sequence[Entry], archiver: Archiver | None) -> None:
    contents = round_.level >= 2 and (round_.share is None or round_.share[0] == round_.share[1])
    look_at_repository(round_, kept, archiver.last_archived if archiver else "", contents=contents)


def _conclude(round_: Round, head: str) -> Done:
    """Return how the round ends; raises the worst of what it found."""
    if error := failure(round_.flaws):
        raise error
    sets = len(round_.reached)
    return Done(
        f"level {round_.level}: {sets} sets are whole{WORDS[round_.level]}",
        changed=round_.changed,
        lines=tuple(round_.lines),
        details={"level": round_.level, "sets": sets, "proven": dict(sorted(round_.reached.items()))},
        head=head,
    )
