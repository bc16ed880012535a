"""What the operations decide from numbers and texts alone."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from pasargad_ops import edge_log
from pasargad_ops.config import ReleaseConfig
from pasargad_ops.edge_log import Count, Position
from pasargad_ops.files import append_line, keep_last_lines, read_lines
from pasargad_ops.manage import command_error, database_hint
from pasargad_ops.masking import mask, secret_values
from pasargad_ops.metrics import render
from pasargad_ops.migrate import is_retriable
from pasargad_ops.outcome import Damaged, Refused
from pasargad_ops.preflight import ERROR, OK, Finding, require_no_errors
from pasargad_ops.readiness import CrashWatch
from pasargad_ops.shell import run
from pasargad_ops.stage import require_plain
from pasargad_ops.verify import judge


@pytest.mark.parametrize(
    ("status", "upstream", "lost"),
    [
        (200, "200", False),
        (200, "502, 200", False),  # the second try gave a page
        (499, "-", False),  # the client went away
        (429, "", False),
        (500, "500", False),  # the application said so
        (503, "503", False),
        (502, "502", True),
        (504, "504", True),
        (502, "502, 502", True),
        (503, "", True),  # the proxy had nobody to ask
        (500, "200", True),  # the proxy broke a good answer
        (502, "-", True),
    ],
)
def test_which_requests_are_lost(status: int, upstream: str, lost: bool) -> None:
    assert edge_log.is_lost({"status": status, "us": upstream}) is lost


def test_counting_leaves_out_the_other_slot_but_not_lost_requests() -> None:
    lines = [
        {"status": 200, "us": "200", "slot": "green", "ut": "0.010"},
        {"status": 500, "us": "500", "slot": "green", "ut": "0.020"},
        {"status": 500, "us": "500", "slot": "blue", "ut": "0.020"},
        {"status": 502, "us": "502", "slot": "", "ut": "0.000"},
    ]
    assert edge_log.count(lines, besides_slot="blue") == Count(3, 1, 1, 20.0)


def test_lines_are_found_across_a_rotation_and_torn_ones_passed_over(tmp_path: Path) -> None:
    log = tmp_path / "access.json"
    log.write_text('{"status": 200, "n": 1}\n')
    position = edge_log.end_of(log)
    with log.open("a") as file:
        file.write('{"status": 200, "n": 2}\n')
    log.rename(tmp_path / "access.json.1")
    log.write_text('{"status": 200, "n": 3}\n{"status": 20')
    assert [line["n"] for line in edge_log.lines_since(log, position)] == [2, 3]
    assert [line["n"] for line in edge_log.lines_since(log, Position(0, 0))] == [3]


def test_judging_compares_with_what_was_normal() -> None:
    calm = Count(1000, 0, 5, 50.0)
    assert judge(Count(100, 0, 1, 60.0), calm, error_share=0.02) == ""
    assert "3 of 100" in judge(Count(100, 1, 2, 60.0), calm, error_share=0.02)
    assert judge(Count(10, 5, 5, 60.0), calm, error_share=0.02) == "", "too few to tell"
    assert judge(Count(100, 0, 9, 60.0), Count(1000, 0, 80, 50.0), error_share=0.02) == "", "it was as bad before"
    assert "1500 ms" in judge(Count(100, 0, 0, 1500.0), calm, error_share=0.02)
    assert judge(Count(100, 0, 0, 1500.0), Count(1000, 0, 0, 400.0), error_share=0.02) == ""


def test_a_torn_line_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    append_line(path, {"n": 1})
    with path.open("a") as file:
        file.write('{"n": 2, "torn')
    append_line(path, {"n": 3})
    assert [line["n"] for line in read_lines(path)] == [1, 3]


def test_a_long_journal_is_shortened(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    for number in range(50):
        append_line(path, {"n": number})
    keep_last_lines(path, limit_bytes=10_000, lines=5)
    assert len(read_lines(path)) == 50
    keep_last_lines(path, limit_bytes=100, lines=5)
    assert [line["n"] for line in read_lines(path)] == [45, 46, 47, 48, 49]


def test_secrets_of_the_environment_are_masked_by_value_and_others_by_look(tmp_path: Path) -> None:
    config = ReleaseConfig("shop.test", "cp311", etc_dir=tmp_path)
    config.env_dir.mkdir()
    text = 'SECRET_KEY="x9-very-secret"\nCACHE_KEY_PREFIX="pasargad"\nPASSWORD_RESET_SECONDS="259200"\n'
    (config.env_dir / "abc.env").write_text(text)
    values = secret_values(config, "abc")
    assert values == ("x9-very-secret",)
    shown = mask("pasargad 259200 x9-very-secret password=hunter2hunter2 redis://u:pw-of-u@host/0", values)
    assert shown == "pasargad 259200 ******** password=******** redis://u:********@host/0"


def test_a_failed_command_shows_its_exception_and_the_mend() -> None:
    lines = ["Traceback (most recent call last):", "psycopg2.OperationalError: connection to server failed", "done"]
    error = command_error("manage.py migrate", lines, ())
    assert "psycopg2.OperationalError" in error.message and "is the database up?" in error.hint
    assert "postgres_max_connections" in database_hint("connection to server: FATAL: sorry, too many clients already")
    assert "vault" in database_hint('connection to server failed: password authentication failed for user "x"')


def test_only_lock_conflicts_are_tried_again() -> None:
    assert is_retriable(["x", "psycopg2.errors.LockNotAvailable: canceling statement due to lock timeout"])
    assert is_retriable(["django.db.utils.OperationalError: deadlock detected"])
    assert not is_retriable(['django.db.utils.ProgrammingError: relation "x" does not exist'])


def test_a_crash_is_told_from_a_slow_start_and_from_an_old_counter() -> None:
    watch = CrashWatch()
    assert not watch.seen({"ActiveState": "inactive", "NRestarts": "3"}, 0.1)
    assert not watch.seen({"ActiveState": "activating", "NRestarts": "0"}, 0.2)
    assert watch.seen({"ActiveState": "activating", "NRestarts": "1"}, 1.5)
    assert CrashWatch().seen({"ActiveState": "failed", "NRestarts": "0"}, 0.1)
    assert CrashWatch().seen({"ActiveState": "inactive", "NRestarts": "0"}, 6.0)


@pytest.mark.parametrize("kind", ["absolute", "upward", "link", "device"])
def test_archives_that_reach_out_are_refused(tmp_path: Path, kind: str) -> None:
    plain = tmp_path / "part.tar"
    with tarfile.open(plain, "w") as archive:
        member = tarfile.TarInfo({"absolute": "/etc/passwd", "upward": "a/../../b"}.get(kind, "a"))
        if kind == "link":
            member.type, member.linkname = tarfile.SYMTYPE, "/etc"
        if kind == "device":
            member.type = tarfile.FIFOTYPE
        archive.addfile(member)
    run(["zstd", "-q", str(plain)])
    with pytest.raises(Damaged, match="does not belong"):
        require_plain(plain.with_suffix(".tar.zst"))


def test_a_good_archive_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "a name with spaces..txt").write_text("x")
    run(["tar", "--zstd", "-cf", str(tmp_path / "p.tar.zst"), "-C", str(tmp_path), "a name with spaces..txt"])
    require_plain(tmp_path / "p.tar.zst")


def test_settings_that_nobody_knows_or_that_contradict_are_refused() -> None:
    base = {"domain": "shop.test", "python_tag": "cp311"}
    with pytest.raises(Refused, match="unknown settings: verfy_seconds"):
        ReleaseConfig.from_mapping({**base, "verfy_seconds": 5})
    with pytest.raises(Refused, match="keep_count is 'many'"):
        ReleaseConfig.from_mapping({**base, "keep_count": "many"})
    with pytest.raises(Refused, match="deadman_seconds 60"):
        ReleaseConfig.from_mapping({**base, "verify_seconds": 50})
    with pytest.raises(Refused, match="domain"):
        ReleaseConfig.from_mapping({"python_tag": "cp311"})
    assert ReleaseConfig.from_mapping({**base, "ready_timeout_seconds": "7"}).ready_timeout_seconds == 7.0


def test_all_that_is_wrong_is_said_at_once() -> None:
    good, bad = Finding(OK, "disk", "plenty"), Finding(ERROR, "redis", "refused", "start it")
    require_no_errors([good])
    with pytest.raises(Refused, match="redis: refused") as one:
        require_no_errors([good, bad])
    assert one.value.hint == "start it"
    with pytest.raises(Refused) as two:
        require_no_errors([bad, Finding(ERROR, "certificate", "expired", "renew it")])
    assert "redis: refused; start it" in two.value.message and "certificate: expired; renew it" in two.value.message


def test_metrics_are_what_prometheus_reads() -> None:
    text = render("pasargad_x", "Words.", [({"version": 'a"b\\'}, 1), ({}, 0.5)])
    lines = [
        "# HELP pasargad_x Words.",
        "# TYPE pasargad_x gauge",
        'pasargad_x{version="a\\"b\\\\"} 1',
        "pasargad_x 0.5",
    ]
    assert text.splitlines() == lines
