"""Run one backup job: what excludes it, who claims its slot, and how its end is told, whatever happens inside."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import FrameType
from typing import Any

import psycopg2
import psycopg2.errors

from ..lock import held
from ..masking import mask
from ..outcome import Locked, OperationError, Outcome
from . import claims
from .claims import Claim
from .config import CONVERGE
from .context import Context
from .errors import BackupError, Code
from .manifest import new_run_id
from .notices import notices_send
from .telling import Ending, Places, Sample, tell

QUIESCE_SECONDS = 900.0


@dataclass(frozen=True)
class Job:
    """What a job is to others.

    `slot` names the piece of work for people; when `claimed`, it is this run's alone on all hosts. Every job runs once
    at a time on a host, and one that is `alone` runs beside no other. One that `quiesces` waits for a migration to end,
    and holds the next one back.
    """

    name: str
    slot: str
    claimed: bool = False
    alone: bool = False
    quiesces: bool = False


@dataclass(frozen=True)
class Done:
    """What a job did: `summary` is one line, `lines` what people want to know, `details` for programs."""

    summary: str
    changed: bool = True
    lines: tuple[str, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)
    bytes: int = 0
    head: str = ""


@dataclass
class Work:
    """A running job, as its body sees it."""

    context: Context
    job: Job
    run_id: str
    started: datetime
    claim: Claim | None = None
    samples: list[Sample] = field(default_factory=list)

    def confirm(self) -> None:
        """Raise CLAIMED when the slot has gone to a later attempt; to be called right before a commit."""
        if self.claim is not None:
            bound = timedelta(seconds=self.context.config.bounds.job_seconds)
            self.claim = claims.confirm(self.context.objects, self.claim, bound=bound)

    def measure(self, name: str, words: str, value: float, **labels: str) -> None:
        """Give Prometheus a value, also when the job fails afterwards."""
        self.samples.append(Sample(name, words, value, labels))

    def say(self, words: str) -> None:
        """Tell whoever watches how far the job is."""
        print(f"{self.job.name}: {mask(words)}", file=sys.stderr, flush=True)


def places_of(context: Context) -> Places:
    """Return where the host keeps what its jobs tell."""
    config = context.config
    return Places(config.state_dir, config.metrics_dir, config.outbox)


def run_job(
    context: Context,
    job: Job,
    body: Callable[[Work], Done],
    *,
    finished: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Run `body` and tell how it ended; raises BackupError with the code of its end.

    `finished` tells whether a claimed slot's work was done by an attempt that died before it could say so. Whatever
    the body raises becomes a BackupError; what cannot be told (a full disk, a dead webhook) changes no code.
    """
    work = Work(context, job, new_run_id(datetime.now(UTC)), datetime.now(UTC))
    begun = time.monotonic()
    signals: list[int] = []
    try:
        with _ended_by_signals(signals), _turn(context, job):
            _claim(work, finished)
            done = body(work)
            _finish(work, Code.DONE)
    except BaseException as error:
        # A signal reaches the job's programs too, and what the body makes of their death is not the reason.
        failure = as_failure(SystemExit() if signals else error)
        _finish(work, failure.code)
        _tell(work, failure.code, failure.message, begun, hint=failure.hint, details=failure.details)
        raise failure from error
    _tell(work, Code.DONE, done.summary, begun, done=done)
    return Outcome(done.changed, done.summary, {**done.details, "code": 0, "lines": list(done.lines)})


def as_failure(error: BaseException) -> BackupError:
    """Return what went wrong as a job tells it."""
    if isinstance(error, BackupError):
        return error
    if isinstance(error, Locked):
        return BackupError(Code.CLAIMED, error.message, hint=error.hint)
    if isinstance(error, OperationError):
        return BackupError(Code.BROKEN, error.message, hint=error.hint, details=error.details)
    if isinstance(error, SystemExit | KeyboardInterrupt):
        hint = "run it again: what was committed stands, and is not done twice"
        return BackupError(Code.INTERRUPTED, "it was ended by a signal", hint=hint)
    words = mask(" ".join(str(error).split()))
    if isinstance(error, psycopg2.errors.DiskFull):
        return BackupError(Code.NO_SPACE, words, hint="free space where the database lies: df -h; du -xh -d2 / | tail")
    if isinstance(error, psycopg2.errors.InsufficientPrivilege):
        return BackupError(Code.CONFIG, words, hint=f"let the roles grant what the jobs need: {CONVERGE}")
    if isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError):
        return BackupError(Code.DATABASE_UNREACHABLE, words, hint="systemctl status postgresql, then run it again")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f" ({error.filename})" if error.filename else ""
        return BackupError(Code.NO_SPACE, f"no space is left{where}", hint="df -h; du -xh -d2 / | sort -h | tail")
    if isinstance(error, PermissionError):
        return BackupError(Code.CONFIG, words, hint="run it as root (sudo), or look who owns it (namei -l)")
    return BackupError(
        Code.BROKEN,
        f"{type(error).__name__}: {words}",
        hint="this is a fault of the program: report it with its journal (journalctl -u 'pasargad-backup-*')",
    )


def owner() -> str:
    """Say which process of which host has a claim."""
    return f"{socket.gethostname()}:{os.getpid()}"


@contextlib.contextmanager
def _turn(context: Context, job: Job) -> Iterator[None]:
    """Hold what excludes this job from others, in the order in which everybody takes them."""
    config = context.config
    with contextlib.ExitStack() as stack:
        stack.enter_context(held(config.run_dir / f"{job.name}.lock", wait_seconds=0, doing=f"backup {job.name}"))
        everybody = config.run_dir / "jobs.lock"
        doing = f"backup {job.name}" if job.alone else ""
        stack.enter_context(held(everybody, wait_seconds=0, shared=not job.alone, doing=doing))
        if job.quiesces:
            stack.enter_context(held(config.quiesce_file, wait_seconds=QUIESCE_SECONDS, shared=True))
        yield


def _claim(work: Work, finished: Callable[[], bool]) -> None:
    context, job = work.context, work.job
    if job.claimed:
        bound = timedelta(seconds=context.config.bounds.job_seconds)
        work.claim = claims.take(
            context.objects, context.place, job.name, job.slot, owner=owner(), bound=bound, finished=finished
        )


def _finish(work: Work, code: Code) -> None:
    """Say how the claim ended; where that cannot be said the work stands, and the claim ends by its bound."""
    if work.claim is not None:
        try:
            claims.finish(work.context.objects, work.claim, code)
        except BackupError as error:
            work.say(f"the end of its claim could not be told: {error.message}")


@contextlib.contextmanager
def _ended_by_signals(received: list[int]) -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the body as an exception does, so that programs and uploads are cleared away.

    Only the first one does: a second must not cut off the clearing.
    """

    def end(number: int, _: FrameType | None) -> None:
        received.append(number)
        if len(received) == 1:
            raise SystemExit(128 + number)

    try:
        before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    except ValueError:
        # Only the main thread may; tests run jobs in others.
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell(
    work: Work,
    code: Code,
    summary: str,
    begun: float,
    *,
    hint: str = "",
    details: dict[str, Any] | None = None,
    done: Done | None = None,
) -> None:
    context, places = work.context, places_of(work.context)
    ending = Ending(
        work.job.name,
        work.job.slot,
        code,
        summary,
        time.monotonic() - begun,
        hint=hint,
        lines=done.lines if done else (),
        samples=tuple(work.samples),
        details=details or {},
        peak_rss_bytes=peak_rss_bytes(),
        bytes=done.bytes if done else 0,
        changed=done.changed if done else False,
        head=done.head if done else "",
    )
    for trouble in tell(places, ending):
        print(f"{work.job.name}: could not be told: {trouble}", file=sys.stderr, flush=True)
    for problem in notices_send(context.config.outbox, context.channels(), time.time()).problems:
        print(f"{work.job.name}: not delivered yet: {problem}", file=sys.stderr, flush=True)


def peak_rss_bytes() -> int:
    """Return the peak of this process, or of the largest of its programs that have ended."""
    return 1024 * max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
