"""The screen of 3 a.m. stands though parts are broken, ends with the first trouble's code, and says what to do."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pasargad_ops.backup import heartbeat, notify, status
from pasargad_ops.backup.archiver import Archiver
from pasargad_ops.backup.channels import Message, Undelivered
from pasargad_ops.backup.context import Context
from pasargad_ops.backup.errors import BackupError, Code
from pasargad_ops.backup.job import places_of
from pasargad_ops.backup.manifest import Heartbeat
from pasargad_ops.backup.notices import FAILURE, SUCCESS, Notice, notice_put
from pasargad_ops.backup.telling import Ending, tell
from pasargad_ops.backup.windows import Break, Unusable, Window, Windows
from pasargad_ops.outcome import Outcome
from tests.unit.backup.nights import Shop

NOW = time.time()
GOOD = Archiver("on", "0" * 24, NOW - 20, "", 0.0, 1, NOW)
WINDOW = Window(1, int(NOW) - 86400 * 30, int(NOW) - 20, "", "", ())


class Screen(Shop):
    """A host whose database and repository tell what a test says."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.archiver = GOOD
        self.beat: Heartbeat | None = Heartbeat(7, int((NOW - 30) * 1000))
        self.windows: Windows | BackupError = Windows(1, (WINDOW,))
        self.database: Exception | None = None
        self.repository.windows = self.told_windows  # type: ignore[attr-defined]
        self.shelf.clock = datetime.fromtimestamp(NOW - 3600, UTC)

    def told_windows(self) -> Windows:
        if isinstance(self.windows, BackupError):
            raise self.windows
        return self.windows

    def well(self) -> None:
        """Let all be well: two sets that were proven, and jobs that ended well."""
        for entry in (self.physical(full=True, drilled=True), self.logical(drilled=True)):
            self.note(entry, level=2)
        for job in status.JOBS:
            self.ended(job)

    def ended(self, job: str, code: Code = Code.DONE, words: str = "all is well", hint: str = "") -> None:
        tell(places_of(self.context), Ending(job, "today", code, words, 61.0, hint=hint))

    def draft(self, slot: str = "", **more: Any) -> Any:
        draft = super().draft(slot, **more)
        ms = int(self.now.timestamp() * 1000)
        return dataclasses.replace(draft, times=dataclasses.replace(draft.times, start_ms=ms, end_ms=ms))


@pytest.fixture
def screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Screen:
    made = Screen(tmp_path)

    @contextlib.contextmanager
    def database(self: Context, name: str = "") -> Iterator[Any]:
        if made.database is not None:
            raise made.database

        class Session:
            def rollback(self) -> None:
                pass

        yield Session()

    monkeypatch.setattr(Context, "database", database)
    monkeypatch.setattr(status, "read_archiver", lambda _: made.archiver)
    monkeypatch.setattr(status, "last_heartbeat", lambda _: made.beat)
    monkeypatch.setattr(heartbeat, "read_archiver", lambda _: made.archiver)
    monkeypatch.setattr(heartbeat, "beat", lambda _: made.beat)
    return made


def shown(screen: Screen) -> tuple[Outcome, dict[str, str]]:
    """Return the outcome and the lines by their names."""
    outcome = status.status(screen.context)
    assert json.loads(json.dumps(outcome.details, default=str))["code"] == outcome.details["code"]
    assert not outcome.changed
    lines = {}
    for line in outcome.details["lines"]:
        name = line[:15].strip()
        lines[name] = line[15:].strip()
    return outcome, lines


def test_when_all_is_well_it_says_how_well(screen: Screen) -> None:
    screen.well()
    outcome, lines = shown(screen)
    assert (outcome.details["code"], outcome.summary) == (0, "the store could be brought back")
    assert (
        re.match(r"set 1, 6\d min old", lines["physical set"])
        and "proven to level 2; 1 sets; last drill" in lines["physical set"]
    )
    assert lines["chain"].startswith("head 2 ") and lines["chain"].endswith("sound")
    assert " to " in lines["restorable"]
    assert lines["loss now"] == "WAL arrived 20 s ago, 1 segments wait; heartbeat 30 s ago"
    assert lines["verify"].startswith("well, ") and "in 61 s: all is well" in lines["verify"]
    assert "next" not in lines
    assert outcome.details["logical"][0]["level"] == 2
    assert outcome.details["rpo_seconds"] == pytest.approx(20)


TROUBLES: dict[str, tuple[Callable[[Screen], object], Code, str, str]] = {
    "no set": (lambda s: _emptied(s), Code.INTEGRITY, "physical set", "NONE yet"),
    "storage down": (
        lambda s: setattr(s.shelf, "list", _refuse(BackupError(Code.STORAGE_TRANSIENT, "no answer", hint="wait"))),
        Code.STORAGE_TRANSIENT,
        "sets",
        "UNKNOWN: no answer",
    ),
    "chain broken": (lambda s: s.shelf.hide(s.walk().entries[0].key), Code.INTEGRITY, "chain", "BROKEN: set 1 is gone"),
    "flawed": (
        lambda s: s.note(s.walk().entries[1], level=2, flaw="torn"),
        Code.INTEGRITY,
        "logical set",
        "FLAW: torn",
    ),
    "old": (lambda s: _aged(s), Code.INTEGRITY, "logical set", "29 h old"),
    "database down": (
        lambda s: setattr(s, "database", BackupError(Code.DATABASE_UNREACHABLE, "it is down", hint="start it")),
        Code.DATABASE_UNREACHABLE,
        "now",
        "UNKNOWN: it is down",
    ),
    "a fault of ours": (lambda s: setattr(s, "database", KeyError("x")), Code.BROKEN, "now", "UNKNOWN: KeyError"),
    "archiving fails": (
        lambda s: setattr(s, "archiver", dataclasses.replace(GOOD, last_failed="W", last_failed_at=NOW)),
        Code.ARCHIVER,
        "loss now",
        "WAL arrived",
    ),
    "archiving is off": (
        lambda s: setattr(s, "archiver", dataclasses.replace(GOOD, mode="off")),
        Code.ARCHIVER,
        "loss now",
        "WAL",
    ),
    "WAL is silent": (
        lambda s: setattr(s, "archiver", dataclasses.replace(GOOD, last_archived_at=NOW - 600)),
        Code.RPO_OVER,
        "loss now",
        "WAL arrived 10 min ago",
    ),
    "WAL never came": (
        lambda s: setattr(s, "archiver", dataclasses.replace(GOOD, last_archived_at=0.0)),
        Code.RPO_OVER,
        "loss now",
        "NO WAL arrived yet",
    ),
    "no heartbeat": (lambda s: setattr(s, "beat", None), Code.RPO_OVER, "loss now", "NO heartbeat"),
    "an old heartbeat": (
        lambda s: setattr(s, "beat", Heartbeat(7, int((NOW - 7200) * 1000))),
        Code.RPO_OVER,
        "loss now",
        "2 h ago",
    ),
    "repository down": (
        lambda s: setattr(s, "windows", BackupError(Code.KEY, "a wrong key", hint="the right one")),
        Code.KEY,
        "window",
        "UNKNOWN: a wrong key",
    ),
    "no window": (
        lambda s: setattr(s, "windows", Windows(1, unusable=(Unusable("F", "its WAL is missing"),))),
        Code.TARGET_TIME,
        "restorable",
        "NO point in time",
    ),
    "a gap to the end": (
        lambda s: setattr(s, "windows", Windows(1, (WINDOW,), (Break(1, None, None, "WAL 7 is missing"),))),  # type: ignore[arg-type]
        Code.WAL_GAP,
        "gap",
        "WAL 7 is missing",
    ),
    "a job failed": (
        lambda s: s.ended("verify", Code.WAL_GAP, "a hole", "make a full one"),
        Code.WAL_GAP,
        "verify",
        "FAILED with 50",
    ),
    "an ending of a newer code": (
        lambda s: _line(s, {"job": "verify", "code": 99, "at": NOW, "seconds": 1, "summary": "?"}),
        Code.BROKEN,
        "verify",
        "FAILED with 99",
    ),
    "a damaged ending": (lambda s: _line(s, {"job": "verify"}), Code.BROKEN, "verify", "UNKNOWN: KeyError"),
}


def _refuse(error: BackupError) -> Callable[[str], Any]:
    def act(_: str) -> Any:
        raise error

    return act


def _emptied(screen: Screen) -> None:
    screen.shelf.kept.clear()
    screen.memory.unlink()


def _aged(screen: Screen) -> None:
    _emptied(screen)
    screen.shelf.clock = datetime.fromtimestamp(NOW, UTC) - timedelta(hours=29)
    screen.note(screen.logical(drilled=True), level=2)
    screen.shelf.clock = datetime.fromtimestamp(NOW, UTC)
    screen.note(screen.physical(full=True, drilled=True), level=2)


def _line(screen: Screen, line: dict[str, Any]) -> None:
    with (screen.context.config.state_dir / "history.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


@pytest.mark.parametrize("name", TROUBLES)
def test_one_broken_part_has_its_line_and_the_others_stand(screen: Screen, name: str) -> None:
    screen.well()
    before = set(shown(screen)[1])
    act, code, line, words = TROUBLES[name]
    act(screen)
    outcome, lines = shown(screen)
    assert lines[line].find(words) >= 0, lines
    assert outcome.details["code"] == code
    assert outcome.summary.startswith("the store needs a look: ")
    left = before - set(lines)
    assert left <= {"physical set", "logical set", "chain", "restorable", "loss now"}
    assert len(left) <= 3
    if code not in (Code.BROKEN,):
        assert lines["next"]


def test_when_everything_is_broken_every_line_says_so(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    screen.shelf.list = _refuse(BackupError(Code.STORAGE_DENIED, "not yours", hint="ask"))  # type: ignore[method-assign, assignment]
    screen.database = BackupError(Code.DATABASE_UNREACHABLE, "it is down")
    screen.windows = BackupError(Code.STORAGE_DENIED, "not yours")
    outcome, lines = shown(screen)
    assert {name for name, words in lines.items() if words.startswith("UNKNOWN")} == {"sets", "window", "now"}
    assert (outcome.details["code"], lines["next"], "notices" in lines) == (31, "ask", True)


def test_what_cannot_be_helped_any_more_is_shown_and_no_trouble(screen: Screen) -> None:
    """A hole that a later backup follows, and a restore by hand that was refused."""
    screen.well()
    screen.windows = Windows(1, (WINDOW, WINDOW), (Break(1, 2, None, "WAL 7 is missing"),))  # type: ignore[arg-type]
    screen.ended("restore", Code.TARGET_REFUSED, "no")
    outcome, lines = shown(screen)
    assert (outcome.details["code"], lines["gap"]) == (0, "WAL 7 is missing")
    assert lines["restore"].startswith("FAILED with 60")


def test_a_run_that_came_second_hides_no_failure(screen: Screen) -> None:
    screen.well()
    screen.ended("logical", Code.DUMP_FAILED, "pg_dump died", "look")
    screen.ended("logical", Code.CLAIMED, "another run has it")
    assert shown(screen)[0].details["code"] == Code.DUMP_FAILED


def test_who_waits_at_a_screen_does_not_wait_as_a_backup_does(tmp_path: Path) -> None:
    context = Screen(tmp_path).context
    fresh = Context(context.config)
    assert (fresh.is_hurried, fresh.hurried.is_hurried) == (False, True)
    assert fresh.hurried.repository.config.short_seconds < fresh.repository.config.short_seconds
    assert context.hurried is context, "a door that is open stays"


def test_the_sets_stand_in_a_table(screen: Screen) -> None:
    screen.well()
    screen.note(screen.logical(), level=0, flaw="half of it")
    lines = status.sets(screen.context).details["lines"]
    assert lines[0].split() == ["seq", "kind", "made", "(UTC)", "size", "tier", "proven"]
    assert lines[1].split()[:2] == ["1", "physical"] and lines[1].endswith("F") and "level 2, drilled" in lines[1]
    assert "FLAW: half of it" in lines[3]
    assert [one["seq"] for one in status.sets(screen.context).details["sets"]] == [1, 2, 3]


def metrics(screen: Screen, file: str) -> dict[str, float]:
    text = (screen.context.config.metrics_dir / file).read_text()
    return {
        sample.name.removeprefix("pasargad_backup_"): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_beat_is_told_and_leaves_neither_history_nor_notice(screen: Screen) -> None:
    screen.archiver = dataclasses.replace(GOOD, failed=3, waiting_since=NOW - 90)
    outcome = heartbeat.beat_once(screen.context)
    assert (outcome.details["code"], "row 7 after" in outcome.summary) == (0, True)
    assert metrics(screen, heartbeat.FILE) == pytest.approx(
        {
            "heartbeat_timestamp_seconds": NOW - 30,
            "wal_last_archived_timestamp_seconds": NOW - 20,
            "wal_ready_segments": 1,
            "wal_oldest_ready_seconds": 90,
            "wal_failed_total": 3,
            "wal_failing": 0,
        },
        abs=0.01,
    )
    assert not screen.context.config.state_dir.exists()


def test_a_beat_tells_that_archiving_fails(screen: Screen) -> None:
    screen.archiver = dataclasses.replace(GOOD, last_failed="W", last_failed_at=NOW)
    outcome = heartbeat.beat_once(screen.context)
    assert (outcome.details["code"], "archiving fails" in outcome.summary) == (Code.ARCHIVER, True)
    assert metrics(screen, heartbeat.FILE)["wal_failing"] == 1


def test_without_waiting_segments_none_has_waited(screen: Screen) -> None:
    screen.archiver = dataclasses.replace(GOOD, ready=0, waiting_since=0.0)
    heartbeat.beat_once(screen.context)
    assert metrics(screen, heartbeat.FILE)["wal_oldest_ready_seconds"] == 0


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BackupError(Code.DATABASE_UNREACHABLE, "down"), Code.DATABASE_UNREACHABLE),
        (BackupError(Code.CONFIG, "another cluster"), Code.CONFIG),
        (RuntimeError("odd"), Code.BROKEN),
    ],
)
def test_a_beat_that_fails_keeps_the_old_times(screen: Screen, error: Exception, code: Code) -> None:
    heartbeat.beat_once(screen.context)
    before = metrics(screen, heartbeat.FILE)
    screen.database = error
    with pytest.raises(BackupError) as caught:
        heartbeat.beat_once(screen.context)
    assert caught.value.code is code
    assert metrics(screen, heartbeat.FILE) == before


def test_metrics_that_cannot_be_written_fail_a_beat(screen: Screen) -> None:
    screen.context.config.metrics_dir.write_text("no directory")
    with pytest.raises(BackupError):
        heartbeat.beat_once(screen.context)


class Pipe:
    """A channel that takes, or refuses."""

    name = "pipe"
    refuses = False

    def __init__(self) -> None:
        self.sent: list[str] = []

    def send(self, message: Message, now: float) -> None:
        if self.refuses:
            raise Undelivered("the relay answered 550", down=True)
        self.sent.append(message.title)


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Pipe:
    made = Pipe()
    monkeypatch.setattr(Context, "channels", lambda _: (made,))
    return made


FAILED = Notice(FAILURE, "logical", "today", 21, "logical failed", urgent=True)


def test_what_waits_is_sent_and_counted(screen: Screen, pipe: Pipe) -> None:
    notice_put(screen.context.config.outbox, FAILED)
    outcome = notify.send_notices(screen.context)
    assert (outcome.details["code"], outcome.summary, pipe.sent) == (0, "1 delivered, 0 waiting", ["logical failed"])
    assert metrics(screen, notify.FILE) == {"notify_outbox": 0, "notify_given_up": 0, "notify_channels": 1}
    assert notify.send_notices(screen.context).changed is False


def test_what_is_refused_waits_and_is_told(screen: Screen, pipe: Pipe) -> None:
    pipe.refuses = True
    notice_put(screen.context.config.outbox, FAILED)
    outcome = notify.send_notices(screen.context)
    assert (outcome.details["code"], outcome.details["lines"]) == (90, ["pipe: the relay answered 550"])
    assert metrics(screen, notify.FILE)["notify_outbox"] == 1
    assert shown(screen)[1]["notices"].startswith("1 wait to be sent; channels: pipe")


def test_a_success_waits_for_its_digest_and_is_no_backlog(screen: Screen, pipe: Pipe) -> None:
    notice_put(screen.context.config.outbox, Notice(SUCCESS, "logical", "today", 0, "done"))
    assert shown(screen)[1]["notices"].startswith("0 wait")


def test_delivered_is_delivered_though_nobody_can_see_it(screen: Screen, pipe: Pipe) -> None:
    notice_put(screen.context.config.outbox, FAILED)
    screen.context.config.metrics_dir.write_text("no directory")
    outcome = notify.send_notices(screen.context)
    assert pipe.sent == ["logical failed"]
    assert outcome.details["code"] != 0 and str(screen.context.config.metrics_dir) in outcome.details["lines"][0]
