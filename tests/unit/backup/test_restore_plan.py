"""What a restore chooses, what it says before it begins, and what it refuses: without a server."""

from __future__ import annotations

import shlex
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pasargad_ops.backup import cli
from pasargad_ops.backup.errors import BackupError, Code
from pasargad_ops.backup.pgbackrest_read import parse_tablespaces
from pasargad_ops.backup.restore_choice import to_latest, to_set, to_time
from pasargad_ops.backup.restore_plan import RestoreRequest, command, confirmation, refuse_nonsense, refuse_wrong_word
from pasargad_ops.backup.wal import Gap
from pasargad_ops.backup.windows import Backup, Break, Unusable, Window, Windows, told

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
T0 = int(NOW.timestamp()) - 7200


def backup(label: str, stopped: int, **more: object) -> Backup:
    wal = "000000010000000000000002"
    made = Backup(label, "full", "", wal, wal, "0/2000028", "0/2000100", stopped - 1, stopped, size_bytes=30)
    return replace(made, **more)  # type: ignore[arg-type]


MONDAY, TUESDAY = backup("monday", T0), backup("tuesday", T0 + 1000)
OPEN = Window(1, T0 + 1, T0 + 3000, "000000010000000000000002", "000000010000000000000009", (MONDAY, TUESDAY))
HOLE = Gap("00000001000000000000000A", "00000001000000000000000A", 1)


def test_the_newest_point_is_reached_from_the_newest_backup() -> None:
    choice = to_latest(Windows(1, (OPEN,)))
    assert (choice.fetch, choice.backup, choice.at) == ("default", TUESDAY, None)
    assert (choice.until, choice.last_wal) == (T0 + 3000, "000000010000000000000009")


def test_a_backup_with_damaged_pages_is_taken_only_where_there_is_no_other() -> None:
    torn = replace(TUESDAY, error=True)
    assert to_latest(Windows(1, (replace(OPEN, backups=(MONDAY, torn)),))).backup == MONDAY
    assert to_latest(Windows(1, (replace(OPEN, backups=(torn,)),))).backup == torn


def test_a_hole_behind_the_newest_backup_is_not_passed_over_in_silence() -> None:
    broken = Break(T0 + 3000, None, HOLE, "WAL 00000001000000000000000A is missing")
    with pytest.raises(BackupError) as refusal:
        to_latest(Windows(1, (OPEN,), (broken,)))
    assert refusal.value.code == Code.WAL_GAP
    asked = refusal.value.hint.partition("pasargad-ops backup ")[2].partition(";")[0]
    parsed = cli.parser().parse_args(shlex.split(asked))
    assert to_time(Windows(1, (OPEN,), (broken,)), parsed.at, NOW).until == T0 + 3000, "the way out that it names works"


def test_a_hole_before_the_newest_backup_holds_nothing_up() -> None:
    before = Window(1, T0 - 900, T0 - 800, "0" * 24, "0" * 24, (backup("sunday", T0 - 901),))
    broken = Break(T0 - 800, T0 + 1, HOLE, "WAL is missing")
    assert to_latest(Windows(1, (before, OPEN), (broken,))).backup == TUESDAY


def test_without_a_backup_nothing_is_the_newest_point() -> None:
    with pytest.raises(BackupError, match="sunday: WAL written while it ran is missing") as refusal:
        to_latest(Windows(1, unusable=(Unusable("sunday", "WAL written while it ran is missing"),)))
    assert refusal.value.code == Code.TARGET_TIME


@pytest.mark.parametrize(
    ("second", "why"),
    [
        (T0 - 1, "before the first backup"),
        (T0 + 3001, "after the newest WAL"),
        (int(NOW.timestamp()) + 1, "in the future"),
    ],
)
def test_a_time_outside_is_refused_with_the_times_that_would_do(second: int, why: str) -> None:
    with pytest.raises(BackupError, match=why) as refusal:
        to_time(Windows(1, (OPEN,)), datetime.fromtimestamp(second, UTC), NOW)
    assert refusal.value.code == Code.TARGET_TIME
    assert f"from {told(T0 + 1)} to {told(T0 + 3000)}" in refusal.value.hint


def test_a_time_is_reached_from_the_backup_before_it() -> None:
    at = datetime.fromtimestamp(T0 + 500, UTC)
    choice = to_time(Windows(1, (OPEN,)), at, NOW)
    assert (choice.fetch, choice.backup, choice.at, choice.until) == ("time", MONDAY, at, T0 + 500)


def test_a_set_ends_where_its_backup_ended() -> None:
    choice = to_set(Windows(1, (OPEN,)), MONDAY)
    assert (choice.fetch, choice.backup, choice.until, choice.last_wal) == ("immediate", MONDAY, T0, MONDAY.stop_wal)


@pytest.mark.parametrize(
    ("why", "code"),
    [
        ("WAL written while it ran is missing", Code.WAL_GAP),
        ("monday, on which it leans, is not listed", Code.TARGET_REFUSED),
    ],
)
def test_a_set_that_cannot_be_restored_is_refused(why: str, code: Code) -> None:
    with pytest.raises(BackupError, match=why) as refusal:
        to_set(Windows(1, (OPEN,), unusable=(Unusable("sunday", why),)), backup("sunday", T0 - 901))
    assert refusal.value.code == code


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (RestoreRequest(to="yesterday"), Code.TARGET_REFUSED),
        (RestoreRequest(to="time"), Code.TARGET_TIME),
        (RestoreRequest(to="latest", at=NOW), Code.TARGET_TIME),
        (RestoreRequest(to="time", at=NOW.replace(tzinfo=None)), Code.TARGET_TIME),
        (RestoreRequest(to="set"), Code.TARGET_REFUSED),
        (RestoreRequest(to="latest", seq=3), Code.TARGET_REFUSED),
    ],
)
def test_requests_that_contradict_themselves_are_refused(request_: RestoreRequest, code: Code) -> None:
    with pytest.raises(BackupError) as refusal:
        refuse_nonsense(request_)
    assert refusal.value.code == code
    assert refusal.value.hint


@pytest.mark.parametrize(
    "wanted",
    [
        RestoreRequest(),
        RestoreRequest(to="time", at=NOW, system_id="7412345678901234567"),
        RestoreRequest(to="set", seq=3),
        RestoreRequest(to="set", seq=3, target="database", database="the shop of monday", identity=Path("/x y")),
    ],
)
def test_the_next_command_is_what_was_asked_and_the_word(wanted: RestoreRequest) -> None:
    refuse_nonsense(wanted)
    words = shlex.split(command(wanted, Path("/etc/other.json"), confirm="RESTORE-4567"))
    assert words[:2] == ["pasargad-ops", "backup"]
    parsed = cli.parser().parse_args(words[2:])
    assert parsed.config == Path("/etc/other.json")
    found = RestoreRequest(
        to=parsed.to,
        at=parsed.at,
        seq=parsed.seq,
        target="database" if parsed.database else "cluster",
        database=parsed.database,
        identity=parsed.identity,
        confirm=parsed.confirm,
        system_id=parsed.system_id,
    )
    assert found == replace(wanted, confirm="RESTORE-4567")


def test_the_word_names_the_cluster_and_nothing_else_will_do() -> None:
    assert confirmation("7412345678901234567") == "RESTORE-4567"
    refuse_wrong_word(RestoreRequest(confirm="RESTORE-4567"), "RESTORE-4567")
    for word in ("RESTORE-4568", "restore-4567", "yes", "RESTORE-", "RESTORE-45670"):
        with pytest.raises(BackupError) as refusal:
            refuse_wrong_word(RestoreRequest(confirm=word), "RESTORE-4567")
        assert refusal.value.code == Code.TARGET_REFUSED
        assert "RESTORE-4567" in refusal.value.hint


def test_the_tablespaces_of_a_backup_are_read() -> None:
    told_ = '[{"name": "main", "backup": [{"label": "20260101-010101F", "tablespace": %s}]}]'
    spaces = '[{"destination": "/side", "name": "side", "oid": 16384}]'
    assert parse_tablespaces(told_ % spaces, "main", "20260101-010101F") == ("side",)
    for none in ("null", "[]"):
        assert parse_tablespaces(told_ % none, "main", "20260101-010101F") == ()
    with pytest.raises(BackupError) as damage:
        parse_tablespaces(told_ % "null", "main", "20260101-020202F")
    assert damage.value.code == Code.INTEGRITY
