"""Tell people how jobs ended, through an outbox on disk: a dead channel neither fails a job nor loses a word."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..files import read_json, sync_directory, write_json
from ..lock import held
from ..masking import mask
from ..outcome import Locked, OperationError
from .channels import RETRY_AFTER_LIMIT, Channel, Message, Undelivered, send_bounded
from .errors import BackupError, Code

FAILURE, RECOVERY, SUCCESS, DIGEST = "failure", "recovery", "success", "digest"
FIRST_WAIT_SECONDS = 60.0
LONGEST_WAIT_SECONDS = 3600.0
RETRY_SECONDS = 24 * 3600.0
KEEP_SECONDS = 30 * 24 * 3600.0
# In UTC: after the night's jobs, before people begin to work.
DIGEST_HOUR = 6
MODE = 0o600


@dataclass(frozen=True)
class Notice:
    """One word to people: `slot` is the run it is about, `code` how that ended; `urgent` goes out at once."""

    kind: str
    job: str
    slot: str
    code: int
    title: str
    lines: tuple[str, ...] = ()
    urgent: bool = False


@dataclass(frozen=True)
class Sent:
    """How one round of sending went; `waiting` counts messages that some channel has still to take."""

    delivered: int = 0
    waiting: int = 0
    given_up: int = 0
    problems: tuple[str, ...] = ()


@dataclass
class _Entry:
    """A file of the outbox; `channels` holds for each channel its state, tries, and when it was and will be tried."""

    path: Path
    notice: Notice
    put: float
    channels: dict[str, dict[str, Any]]
    closed: bool = False
    gathered: str = ""

    def save(self) -> None:
        about = {"notice": asdict(self.notice), "put": self.put, "channels": self.channels}
        write_json(self.path, {**about, "closed": self.closed, "gathered": self.gathered}, mode=MODE)


def notice_put(directory: Path, notice: Notice, *, now: float | None = None) -> bool:
    """Keep a notice for sending, durably; return whether it is new: of the same job, slot and code one is kept.

    The first success after a failure of the same job puts a recovery notice too, once for that failure; after it the
    same failure is news again. Raises UNDELIVERED when the outbox cannot be written.
    """
    moment = time.time() if now is None else now
    try:
        entries = _read(directory)[0]
        if notice.kind == SUCCESS and (failed := _unmended(entries, notice.job)):
            _put(directory, _recovery(failed, notice), _round(entries, notice.job, failed.slot), moment)
        return _put(directory, notice, _round(entries, notice.job, notice.slot), moment)
    except OSError as error:
        raise BackupError(
            Code.UNDELIVERED,
            f"a notice of {notice.job} cannot be kept in {directory}: {error.strerror}",
            hint=f"free space, and let the job's user write {directory}",
        ) from error


def notices_send(directory: Path, channels: Sequence[Channel], now: float) -> Sent:
    """Send what is due on each channel: urgent notices at once, the others as one digest a day.

    Never raises, so that no job ends otherwise because of it. Each channel is remembered by itself, for 24 hours, with
    growing waits. The attempt is noted before it is made and the delivery after it: killed in between, the message goes
    out a second time, at least once instead of exactly once, with the same Message-ID. One process sends at a time.
    """
    try:
        if not directory.is_dir():
            return Sent()
        with held(directory / ".lock", wait_seconds=0):
            return _send(directory, channels, now)
    except Locked:
        return Sent()
    except Exception as error:
        return Sent(problems=(f"the outbox {directory} cannot be used: {_word(error)}",))


def notices_waiting(directory: Path) -> int:
    """Return how many messages some channel has still to take; those of the next digest are not counted."""
    return sum(1 for entry in _read(directory)[0] if not entry.closed and not _is_gathered_later(entry))


def _send(directory: Path, channels: Sequence[Channel], now: float) -> Sent:
    entries, problems = _read(directory)
    entries = _gather(directory, entries, now)
    delivered = 0
    for channel in channels:
        held_until = _holds(directory).get(channel.name, 0.0)
        if 0 < held_until - now <= RETRY_AFTER_LIMIT:
            continue
        for entry in entries:
            if not _is_due(entry, channel.name, now):
                continue
            try:
                _attempt(entry, channel, now)
                delivered += 1
            except Undelivered as error:
                problems.append(mask(f"{channel.name}: {error}"))
                if error.hold_seconds:
                    holds = {**_holds(directory), channel.name: now + error.hold_seconds}
                    write_json(directory / ".holds", holds, mode=MODE)
                if error.down:
                    # What is wrong with the channel is wrong for all; a job does not wait for each.
                    break
    given_up = sum(_close(entry, channels, now) for entry in entries)
    _forget(directory, entries, now)
    waiting = sum(1 for entry in entries if not entry.closed and not _is_gathered_later(entry))
    return Sent(delivered, waiting, given_up, tuple(dict.fromkeys(problems)))


def _attempt(entry: _Entry, channel: Channel, now: float) -> None:
    state = entry.channels.setdefault(channel.name, {"state": "waiting", "tries": 0, "first": now})
    state["tries"] += 1
    state["next"] = now + min(FIRST_WAIT_SECONDS * 2 ** (state["tries"] - 1), LONGEST_WAIT_SECONDS)
    # Noted first: an outbox that cannot be written any more must not send the same at every call.
    entry.save()
    notice = entry.notice
    lines = [*notice.lines, "", f"{notice.job} {notice.slot}, code {notice.code}"]
    send_bounded(channel, Message(f"{entry.path.stem}.{channel.name}", notice.title, "\n".join(lines)), now)
    state.update(state="sent", at=now)
    entry.save()


def _is_due(entry: _Entry, channel: str, now: float) -> bool:
    state = entry.channels.get(channel, {})
    if entry.closed or _is_gathered_later(entry) or state.get("state") in ("sent", "given up"):
        return False
    # A wait longer than the longest was noted by a clock that has been set back.
    return not 0 < float(state.get("next", 0)) - now <= LONGEST_WAIT_SECONDS


def _is_gathered_later(entry: _Entry) -> bool:
    return not entry.notice.urgent and entry.notice.kind != DIGEST


def _close(entry: _Entry, channels: Sequence[Channel], now: float) -> int:
    """Note what no channel will try again; return how many channels were given up."""
    if entry.closed or _is_gathered_later(entry):
        return 0
    given_up = 0
    for state in entry.channels.values():
        # From the first attempt, not from the notice: a host that was off has not tried yet.
        if state["state"] == "waiting" and now - state["first"] >= RETRY_SECONDS:
            state["state"] = "given up"
            given_up += 1
    done = {name for name, state in entry.channels.items() if state["state"] != "waiting"}
    entry.closed = bool(channels) and {channel.name for channel in channels} <= done
    if entry.closed or given_up:
        entry.save()
    return given_up


def _gather(directory: Path, entries: list[_Entry], now: float) -> list[_Entry]:
    """Make the day's digest of what is not urgent; a kill in between leaves it to the next call to note its parts."""
    today = datetime.datetime.fromtimestamp(now, datetime.UTC)
    day = today.date().isoformat()
    loose = [entry for entry in entries if _is_gathered_later(entry) and not entry.gathered]
    digests = {entry.notice.slot: entry for entry in entries if entry.notice.kind == DIGEST}
    if loose and day not in digests and today.hour >= DIGEST_HOUR:
        lines = [line for entry in loose for line in (f"- {entry.notice.title}", *entry.notice.lines)]
        parts = [entry.path.name for entry in loose]
        title = f"Backups: {len(loose)} notices of the last day" if len(loose) > 1 else loose[0].notice.title
        notice = Notice(DIGEST, "digest", day, Code.DONE, title, tuple(lines))
        _put(directory, notice, 0, now, parts=parts)
        entries = _read(directory)[0]
        digests = {entry.notice.slot: entry for entry in entries if entry.notice.kind == DIGEST}
    named = {name: slot for slot, digest in digests.items() for name in _parts(digest.path)}
    for entry in entries:
        if not entry.gathered and (slot := named.get(entry.path.name)):
            entry.gathered, entry.closed = slot, True
            entry.save()
    return entries


def _parts(path: Path) -> list[str]:
    return list((read_json(path.with_suffix(".parts")) or {}).get("parts", []))


def _put(directory: Path, notice: Notice, turn: int, now: float, parts: Sequence[str] = ()) -> bool:
    """Create the file with its content, or leave the one that is there."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    words = [notice.job, notice.slot, str(int(notice.code)), str(turn)]
    if notice.kind in (RECOVERY, DIGEST):
        words.append(notice.kind)
    path = directory / f"{hashlib.sha256(chr(0).join(words).encode()).hexdigest()[:24]}.json"
    if path.exists():
        return False
    if parts:
        write_json(path.with_suffix(".parts"), {"parts": list(parts)}, mode=MODE)
    told = {**asdict(notice), "title": mask(notice.title), "lines": [mask(line) for line in notice.lines]}
    content = json.dumps({"notice": told, "put": now, "channels": {}, "closed": False, "gathered": ""}, sort_keys=True)
    descriptor, temporary = tempfile.mkstemp(dir=directory, prefix=".new.")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # A link, unlike a rename, never replaces what somebody else put meanwhile.
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        Path(temporary).unlink(missing_ok=True)
    sync_directory(directory)
    return True


def _read(directory: Path) -> tuple[list[_Entry], list[str]]:
    """Return the entries in the order in which they were put, and what could not be read."""
    entries, problems = [], []
    for path in sorted(directory.glob("*.json")) if directory.is_dir() else []:
        try:
            about = read_json(path) or {}
            notice = Notice(**{**about["notice"], "lines": tuple(about["notice"]["lines"])})
            entries.append(
                _Entry(path, notice, float(about["put"]), about["channels"], about["closed"], about["gathered"])
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            problems.append(f"{path} is no notice: {_word(error)}")
    return sorted(entries, key=lambda entry: (entry.put, entry.notice.kind == RECOVERY)), problems


def _unmended(entries: Sequence[_Entry], job: str) -> Notice | None:
    """Return the job's last failure, unless a recovery came after it."""
    last = [entry for entry in entries if entry.notice.job == job and entry.notice.kind in (FAILURE, RECOVERY)]
    return last[-1].notice if last and last[-1].notice.kind == FAILURE else None


def _recovery(failed: Notice, success: Notice) -> Notice:
    told = (f"It failed in {failed.slot} with code {failed.code}: {failed.title}", success.title, *success.lines)
    return Notice(RECOVERY, failed.job, failed.slot, Code.DONE, f"{failed.job} works again", told, urgent=True)


def _round(entries: Sequence[_Entry], job: str, slot: str) -> int:
    return sum(1 for e in entries if (e.notice.kind, e.notice.job, e.notice.slot) == (RECOVERY, job, slot))


def _forget(directory: Path, entries: Sequence[_Entry], now: float) -> None:
    for entry in entries:
        if entry.closed and now - entry.put > KEEP_SECONDS:
            entry.path.unlink(missing_ok=True)
            entry.path.with_suffix(".parts").unlink(missing_ok=True)
    for torn in directory.glob(".*.*"):
        # What a kill left half written.
        with contextlib.suppress(FileNotFoundError):
            if now - torn.stat().st_mtime > RETRY_SECONDS:
                torn.unlink()


def _holds(directory: Path) -> dict[str, float]:
    with contextlib.suppress(ValueError, TypeError):
        return dict(read_json(directory / ".holds") or {})
    return {}


def _word(error: BaseException) -> str:
    if isinstance(error, OperationError):
        return mask(error.message)
    return f"{type(error).__name__}: {error.strerror}" if isinstance(error, OSError) else type(error).__name__
