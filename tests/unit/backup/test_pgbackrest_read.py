"""What pgbackrest says, recorded from 2.45, and what it might say one day: every doubt is a finding or an error."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasargad_ops.backup.errors import BackupError, Code
from pasargad_ops.backup.pgbackrest_failures import failure, throttled
from pasargad_ops.backup.pgbackrest_judge import archived_segment, holdings
from pasargad_ops.backup.pgbackrest_read import parse_check, parse_info, parse_listing, parse_verify
from pasargad_ops.shell import Finished

GOOD = """stanza: main
status: ok
  archiveId: 15-1, total WAL checked: 7, total valid WAL: 7
    missing: 0, checksum invalid: 0, size invalid: 0, other: 0
  backup: 20261128-054852F, status: valid, total files checked: 964, total valid files: 964
    missing: 0, checksum invalid: 0, size invalid: 0, other: 0
  backup: 20261128-054852F_20261128-054855D, status: valid, total files checked: 965, total valid files: 965
    missing: 0, checksum invalid: 0, size invalid: 0, other: 0
"""
LABELS = ("20261128-054852F", "20261128-054852F_20261128-054855D")
SECRET = "3f3F2m+crXOlHyC8zlWdP1FoXvTxB5GOPfZPJAk65k2k3QT5fxwJ8ZSScrgkb7"

BACKUP: dict[str, Any] = {
    "archive": {"start": "000000010000000000000009", "stop": "00000001000000000000000A"},
    "database": {"id": 2, "repo-key": 1},
    "error": False,
    "info": {"size": 22992611, "repository": {"delta": 2839680}},
    "label": LABELS[0],
    "lsn": {"start": "0/900028", "stop": "0/A00050"},
    "prior": None,
    "timestamp": {"start": 1795844932, "stop": 1795844934},
    "type": "full",
}
INFO: dict[str, Any] = {
    "name": "main",
    "archive": [{"database": {"id": 2}, "id": "17-2", "max": None, "min": None}],
    "backup": [BACKUP],
    "cipher": "aes-256-cbc",
    "db": [{"id": 1, "system-id": 7713095233769986900, "version": "15"}, {"id": 2, "system-id": 8, "version": "17"}],
    "repo": [{"key": 1, "status": {"code": 0, "message": "ok"}}],
    "status": {"code": 0, "message": "ok", "lock": {"backup": {"held": True}}},
}


def test_a_good_answer_of_verify_is_no_finding() -> None:
    assert parse_verify(GOOD, LABELS) == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("size invalid: 0, other: 0\n  backup", "size invalid: 0, other: 1\n  backup", "1 unreadable"),
        ("valid WAL: 7", "valid WAL: 6", "1 of 7 files"),
        ("054855D, status: valid", "054855D, status: invalid", "054855D is invalid"),
        ("054855D, status: valid", "054855D, status: manifest missing", "054855D is manifest missing"),
        ("054855D, status: valid", "054855D, status: in-progress", "in-progress"),
        ("archiveId: 15-1, total WAL checked: 7, total valid WAL: 7", "archiveId: none found", "no WAL at all"),
        ("status: ok", "status: error", "does not say that all is well"),
        ("status: ok", "status: ok\n  No usable archive.info file", "No usable archive.info"),
        ("054855D, status", "054855I, status", "passed over backup 20261128-054852F_20261128-054855D"),
    ],
)
def test_whatever_verify_admits_is_a_finding_though_its_status_is_ok(old: str, new: str, words: str) -> None:
    assert old in GOOD
    assert any(words in finding.what for finding in parse_verify(GOOD.replace(old, new, 1), LABELS))


@given(st.integers(0, len(GOOD.splitlines()) - 1))
def test_a_line_of_verify_that_is_not_there_is_never_taken_for_good(line: int) -> None:
    lines = GOOD.splitlines()
    del lines[line]
    counts_or_name = line == 0 or "missing:" in GOOD.splitlines()[line] or "archiveId" in GOOD.splitlines()[line]
    assert counts_or_name or parse_verify("\n".join(lines), LABELS)


def test_a_backup_that_is_being_made_is_no_damage() -> None:
    begun = "  backup: 20261128-070000F, status: in-progress, total files checked: 0, total valid files: 0\n"
    assert parse_verify(GOOD + begun, LABELS) == []
    assert parse_verify(GOOD + begun.replace("in-progress", "manifest missing"), LABELS)


def test_nothing_is_not_well() -> None:
    assert parse_verify("", ()) and parse_verify("status: okay", ())


def test_only_the_present_clusters_backups_count() -> None:
    other = {**BACKUP, "label": "20250101-010101F", "database": {"id": 1, "repo-key": 1}, "error": True}
    info = parse_info(json.dumps([{**INFO, "backup": [other, BACKUP]}]), "main")
    assert [backup.label for backup in info.current] == [LABELS[0]]
    assert (info.archive_id, info.backup_running, info.archives[0].max) == ("17-2", True, "")
    assert [finding.what for finding in holdings(info)] == ["backup 20250101-010101F holds pages with wrong checksums"]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", "[{}]", '[{"name":"main"}]', '[{"name":"other","status":{}}]']
)
def test_an_answer_of_info_that_is_not_understood_is_an_error(text: str) -> None:
    with pytest.raises(BackupError) as caught:
        parse_info(text, "main")
    assert caught.value.code == Code.INTEGRITY


def test_a_backup_without_wal_and_a_status_of_the_repository_are_read() -> None:
    cold = {**BACKUP, "archive": {"start": None, "stop": None}, "lsn": None, "error": None}
    status = {"code": 99, "message": "[CryptoError] no"}
    info = parse_info(json.dumps([{**INFO, "backup": [cold], "repo": [{"status": status}], "status": status}]), "main")
    assert (info.backups[0].start_wal, info.backups[0].timeline) == ("", 0)
    assert (info.code, info.message) == (99, "[CryptoError] no")


def test_noise_in_an_answer_hides_no_status() -> None:
    text = json.dumps([{**INFO, "status": {"code": 99, "message": "NOISE"}, "repo": []}]).replace(
        "NOISE", "\x01\x9f\x1b"
    )
    assert parse_info(text, "main").code == 99


@pytest.mark.parametrize("text", ["[]", "{", '{"a":{}}', '{"a":{"type":"file"}}'])
def test_a_listing_that_is_not_understood_is_an_error(text: str) -> None:
    with pytest.raises(BackupError):
        parse_listing(text)


def test_a_listing_of_nothing_is_empty() -> None:
    assert parse_listing('{".":{"type":"path"}}') == {} == parse_listing("")


@pytest.mark.parametrize("text", ["", "{}", "[]", "ERROR", '[{"status":{"code":"x"},"message":""}]'])
def test_a_checker_that_says_nothing_usable_has_found_something(text: str) -> None:
    assert [finding.code for finding in parse_check(text, "archives", 0)] == [Code.WAL_GAP]


def test_the_checkers_exit_code_counts_too() -> None:
    good = '[{"message":"fine","status":{"code":0}}]'
    assert parse_check(good, "retention", 0) == []
    assert [finding.code for finding in parse_check(good, "retention", 2)] == [Code.INTEGRITY]


SAID = [
    (50, "ERROR: [050]: unable to acquire lock on file '/x': Resource temporarily unavailable", Code.CLAIMED),
    (50, "ERROR: [050]: unable to acquire lock on file '/x': Permission denied", Code.CONFIG),
    (
        82,
        "ERROR: [082]: WAL segment 00000001000000000000000F was not archived before the 60000ms timeout",
        Code.ARCHIVER,
    ),
    (68, "ERROR: [068]: archive_command 'false' must contain pgbackrest", Code.ARCHIVER),
    (87, "ERROR: [087]: archive_mode must be enabled", Code.ARCHIVER),
    (95, "ERROR: [095]: unable to flush", Code.KEY),
    (
        29,
        "ERROR: [029]: unable to load info file 'a' or 'b':\n FormatError: key/value found outside of section",
        Code.KEY,
    ),
    (
        29,
        "ERROR: [029]: unable to load info file 'a' or 'b':\n FormatError: invalid JSON value at line 7",
        Code.INTEGRITY,
    ),
    (29, "ERROR: [029]: key/value found outside of section at line 1: repo1-bogus=3", Code.CONFIG),
    (31, "ERROR: [031]: option 'stanza' cannot be set multiple times", Code.CONFIG),
    (37, "ERROR: [037]: backup command requires option: stanza", Code.CONFIG),
    (
        64,
        "ERROR: [064]: raised from local-2 protocol: unable to write 'x': [28] No space left on device",
        Code.NO_SPACE,
    ),
    (39, "ERROR: [039]: HTTP request failed with 403 (Forbidden):", Code.STORAGE_DENIED),
    (39, "ERROR: [039]: HTTP request failed with 429 (Too Many Requests):", Code.STORAGE_TRANSIENT),
    (41, "ERROR: [041]: unable to open file 'x' for read: [13] Permission denied", Code.STORAGE_DENIED),
    (49, "ERROR: [049]: unable to get address for 'localhost': [-3] Temporary failure", Code.STORAGE_TRANSIENT),
    (56, "ERROR: [056]: unable to find primary cluster - cannot proceed", Code.DATABASE_UNREACHABLE),
    (38, "ERROR: [038]: unable to restore while PostgreSQL is running", Code.TARGET_REFUSED),
    (40, "ERROR: [040]: unable to restore to path 'x' because it contains files", Code.TARGET_REFUSED),
    (75, "ERROR: [075]: unable to find backup set with stop time less than '2020-01-01'", Code.TARGET_TIME),
    (75, "ERROR: [075]: backup set 20200101-010101F is not valid", Code.TARGET_REFUSED),
    (26, "ERROR: [026]: error restoring 'x': actual checksum 'a' does not match expected checksum 'b'", Code.INTEGRITY),
    (29, "ERROR: [029]: raised from local-1 protocol: zst error: [-20] Data corruption detected", Code.INTEGRITY),
    (63, "ERROR: [063]: terminated on signal [SIGTERM]", Code.INTERRUPTED),
    (127, "runuser: failed to execute pgbackrest: No such file or directory", Code.CONFIG),
    (124, "", Code.STORAGE_TRANSIENT),
    (99, "[ServiceError] [503] Service Unavailable", Code.STORAGE_TRANSIENT),
    (25, "ERROR: [025]: something new", Code.RESTORE_FAILED),
]


@pytest.mark.parametrize(("code", "said", "expected"), SAID)
def test_each_failure_has_its_code_and_a_next_step(code: int, said: str, expected: Code) -> None:
    error = failure(Finished(code, "", said), "restore", Code.RESTORE_FAILED)
    assert error.code == expected
    assert error.hint


def test_a_message_holds_neither_noise_nor_what_an_info_file_says() -> None:
    said = f"ERROR: [029]: unable to load info file 'a':\n FormatError: invalid JSON value at line 9: pass={SECRET}\xe9"
    message = failure(Finished(29, "", said), "info", Code.INTEGRITY).message
    assert SECRET[:8] not in message and message.isascii() and "line 9" in message


def test_only_the_storages_request_to_wait_is_throttling() -> None:
    assert throttled(Finished(39, "", "HTTP request failed with 429 (Too Many Requests)"))
    assert not throttled(Finished(39, "", "HTTP request failed with 403; x-id: 14290"))
    assert not throttled(Finished(0, "", "429"))


def test_what_postgresql_archived_last_may_be_no_segment() -> None:
    name = "00000001000000000000000A"
    assert archived_segment(name) == archived_segment(f"{name}.00000028.backup") == name
    assert archived_segment(f"{name}.partial") == archived_segment("00000002.history") == archived_segment("") == ""
