"""A job has its turn, its claim and its end, whatever its body does and however it dies."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.errors
import pytest

from pasargad_ops.backup import claims
from pasargad_ops.backup.context import Context
from pasargad_ops.backup.errors import BackupError, Code
from pasargad_ops.backup.job import Done, Job, Work, run_job
from pasargad_ops.lock import held
from pasargad_ops.outcome import Locked, OperationError, Outcome, Refused
from tests.unit.backup.frame import host, settings, start

SLOT = "2026-11-28"
CLAIMED = Job("logical", SLOT, claimed=True)
BOUND = timedelta(hours=6)
SCRIPT = """
import json, signal, subprocess, sys, time
from pathlib import Path
from pasargad_ops.backup.config import BackupConfig
from pasargad_ops.backup.context import Context
from pasargad_ops.backup.errors import BackupError, Code
from pasargad_ops.backup.job import Done, Job, run_job
# Whoever runs the tests in the background has it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
values, job, mode = json.loads(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3]
def body(work):
    program = subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        print("at work", program.pid, flush=True)
        code = program.wait()
        raise BackupError(Code.DUMP_FAILED, f"the program ended with {code}")
    except SystemExit:
        if mode == "blames":
            raise BackupError(Code.DUMP_FAILED, "pg_dump was killed")
        raise
    finally:
        program.kill()
        if mode == "slow":
            time.sleep(1.0)
        print("cleared", flush=True)
try:
    run_job(Context(BackupConfig.from_mapping(values)), Job(**job), body)
except BackupError as error:
    sys.exit(int(error.code))
"""


def well(_: Work) -> Done:
    return Done("it is done")


def fails(error: BaseException) -> Callable[[Work], Done]:
    def body(_: Work) -> Done:
        raise error

    return body


def failure(context: Context, job: Job, body: Callable[[Work], Done], **more: Any) -> BackupError:
    with pytest.raises(BackupError) as caught:
        run_job(context, job, body, **more)
    return caught.value


def looked(context: Context) -> claims.Slot:
    return claims.look(context.objects, context.place, "logical", SLOT)


def notices(context: Context) -> list[dict[str, Any]]:
    """Return what was put for people; the day's digest is made of it when the hour has come, and is no word more."""
    paths = sorted(context.config.outbox.glob("*.json"))
    found = [json.loads(path.read_text())["notice"] for path in paths]
    return [notice for notice in found if notice["kind"] != "digest"]


def told(context: Context) -> list[tuple[str, int]]:
    lines = (context.config.state_dir / "history.jsonl").read_text().splitlines()
    return [(line["job"], line["code"]) for line in map(json.loads, lines)]


def at_work(directory: Path, job: dict[str, Any], mode: str = "") -> subprocess.Popen[str]:
    """Start a job in a process of its own and return when its body is at work."""
    process = start(SCRIPT, json.dumps(settings(directory)), json.dumps(job), mode)
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline().startswith("at work"), process.stderr.read()
    return process


def test_a_job_that_ends_well_is_told_once_everywhere(tmp_path: Path) -> None:
    context = host(tmp_path)

    def body(work: Work) -> Done:
        work.measure("pasargad_rows", "Rows.", 5, kind="x")
        work.confirm()
        return Done("12 tables", lines=("all is well",), details={"seq": 7}, bytes=10, head="7 ab")

    outcome = run_job(context, CLAIMED, body)
    assert outcome == Outcome(True, "12 tables", {"seq": 7, "code": 0, "lines": ["all is well"]})
    assert looked(context).ended == {1: 0}
    assert told(context) == [("logical", 0)]
    assert [(notice["kind"], notice["title"]) for notice in notices(context)] == [("success", "12 tables")]
    assert 'pasargad_rows{kind="x"} 5' in (context.config.metrics_dir / "backup_logical.prom").read_text()


def test_a_job_that_fails_frees_its_slot_and_is_told_once(tmp_path: Path) -> None:
    context = host(tmp_path)

    def body(work: Work) -> Done:
        work.measure("pasargad_rows", "Rows.", 5)
        raise BackupError(Code.DUMP_FAILED, "pg_dump died", hint="look", details={"table": "orders"})

    error = failure(context, CLAIMED, body)
    assert (error.code, error.message, error.hint, error.details) == (
        Code.DUMP_FAILED,
        "pg_dump died",
        "look",
        {"table": "orders"},
    )
    assert looked(context).ended == {1: 21}
    assert told(context) == [("logical", 21)]
    assert [(notice["kind"], notice["code"]) for notice in notices(context)] == [("failure", 21)]
    assert "pasargad_rows 5" in (context.config.metrics_dir / "backup_logical.prom").read_text()
    run_job(context, CLAIMED, well)
    assert looked(context).ended == {1: 21, 2: 0}


class Diag(psycopg2.OperationalError):
    """A fault of the server that the driver names by a class of its own."""


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (psycopg2.OperationalError("server closed\n  the connection"), Code.DATABASE_UNREACHABLE, "server closed the"),
        (psycopg2.InterfaceError("connection already closed"), Code.DATABASE_UNREACHABLE, "already closed"),
        (Diag("statement timeout"), Code.DATABASE_UNREACHABLE, "timeout"),
        (psycopg2.errors.DiskFull("could not extend file"), Code.NO_SPACE, "could not extend"),
        (psycopg2.errors.InsufficientPrivilege("permission denied for t"), Code.CONFIG, "permission denied"),
        (psycopg2.ProgrammingError("syntax error"), Code.BROKEN, "ProgrammingError: syntax error"),
        (OSError(errno.ENOSPC, "No space left on device", "/srv/x"), Code.NO_SPACE, "/srv/x"),
        (OSError(errno.EDQUOT, "Quota exceeded"), Code.NO_SPACE, "no space"),
        (OSError(errno.EIO, "Input/output error", "/srv/x"), Code.BROKEN, "Input/output error"),
        (PermissionError(errno.EACCES, "Permission denied", "/run/x"), Code.CONFIG, "/run/x"),
        (Locked("another operation holds it", hint="wait"), Code.CLAIMED, "another operation"),
        (Refused("no", hint="mend"), Code.BROKEN, "no"),
        (OperationError("no"), Code.BROKEN, "no"),
        (BackupError(Code.WAL_GAP, "a hole"), Code.WAL_GAP, "a hole"),
        (KeyError("gone"), Code.BROKEN, "KeyError: 'gone'"),
        (AssertionError(), Code.BROKEN, "AssertionError"),
        (MemoryError(), Code.BROKEN, "MemoryError"),
        (KeyboardInterrupt(), Code.INTERRUPTED, "ended by a signal"),
        (SystemExit(143), Code.INTERRUPTED, "ended by a signal"),
        (ValueError("password=hunter22"), Code.BROKEN, "password=****"),
    ],
)
def test_whatever_the_body_raises_has_its_code(tmp_path: Path, error: BaseException, code: Code, words: str) -> None:
    context = host(tmp_path)
    found = failure(context, CLAIMED, fails(error))
    assert found.code is code
    assert words in found.message and "hunter22" not in found.message
    assert looked(context).ended == {1: int(code)}
    assert told(context) == [("logical", int(code))]


def test_a_done_slot_is_not_done_again(tmp_path: Path) -> None:
    context = host(tmp_path)
    run_job(context, CLAIMED, well)
    error = failure(context, CLAIMED, fails(AssertionError("it must not run")))
    assert (error.code, len(notices(context))) == (Code.CLAIMED, 1)
    assert told(context)[-1] == ("logical", 11)


def test_work_that_a_dead_attempt_had_finished_is_not_done_again(tmp_path: Path) -> None:
    error = failure(host(tmp_path), CLAIMED, fails(AssertionError("it must not run")), finished=lambda: True)
    assert (error.code, "died before it could say so" in error.message) == (Code.CLAIMED, True)


def test_a_late_run_may_not_commit(tmp_path: Path) -> None:
    context = host(tmp_path)

    def body(work: Work) -> Done:
        assert work.claim is not None
        context.objects.put(work.claim.key.replace("attempt-1", "attempt-2"), b"{}", once=True)
        work.confirm()
        return Done("committed")

    assert failure(context, CLAIMED, body).code is Code.CLAIMED


def test_an_end_that_the_storage_does_not_take_does_not_undo_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    context = host(tmp_path)

    def refuse(*_: Any) -> None:
        raise BackupError(Code.STORAGE_TRANSIENT, "the bucket does not answer")

    monkeypatch.setattr(claims, "finish", refuse)
    assert run_job(context, CLAIMED, well).details["code"] == 0
    assert "the bucket does not answer" in capsys.readouterr().err
    other = Job("physical", SLOT, claimed=True)
    assert failure(context, other, fails(BackupError(Code.DUMP_FAILED, "died"))).code is Code.DUMP_FAILED


def test_metrics_that_cannot_be_written_change_no_code_and_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    context = host(tmp_path)
    context.config.metrics_dir.write_text("no directory")
    assert run_job(context, CLAIMED, well).details["code"] == 0
    assert "could not be told: measure" in capsys.readouterr().err
    assert failure(context, Job("verify", SLOT), fails(BackupError(Code.CHAIN, "broken"))).code is Code.CHAIN
    assert [notice["code"] for notice in notices(context)] in ([0, 42], [42, 0])


def beside(context: Context, first: Job, second: Job) -> Code:
    """Run one job within another one's body, in a thread of its own as another process would; return its end."""
    ends: list[Code] = []

    def other() -> None:
        try:
            run_job(context, second, well)
            ends.append(Code.DONE)
        except BackupError as error:
            ends.append(error.code)

    def body(_: Work) -> Done:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(20)
        return Done("ran")

    run_job(context, first, body)
    return ends[0]


@pytest.mark.parametrize(
    ("first", "second", "end"),
    [
        (Job("logical", "a"), Job("logical", "b"), Code.CLAIMED),
        (Job("logical", "a"), Job("physical", "a"), Code.DONE),
        (Job("retain", "a", alone=True), Job("physical", "a"), Code.CLAIMED),
        (Job("physical", "a"), Job("retain", "a", alone=True), Code.CLAIMED),
        (Job("retain", "a", alone=True), Job("restore", "a", alone=True), Code.CLAIMED),
        (Job("logical", "a", quiesces=True), Job("physical", "a", quiesces=True), Code.DONE),
    ],
)
def test_who_runs_beside_whom(tmp_path: Path, first: Job, second: Job, end: Code) -> None:
    context = host(tmp_path)
    assert beside(context, first, second) is end
    # And when nobody is there any more, everybody may.
    run_job(context, second, well)


def test_the_refused_is_told_who_is_at_work_and_never_who_was(tmp_path: Path) -> None:
    context = host(tmp_path)
    alone, other = Job("retain", "a", alone=True), Job("physical", "a")
    run_job(context, alone, lambda _: Done(failure(context, other, well).message))
    shared = run_job(context, other, lambda _: Done(failure(context, Job("restore", "a", alone=True), well).message))
    assert "retain" not in shared.summary
    assert "retain" in run_job(context, alone, lambda _: Done(failure(context, other, well).message)).summary


def test_a_backup_waits_for_a_migration_and_holds_the_next_one_back(tmp_path: Path) -> None:
    context = host(tmp_path)
    waited: list[float] = []
    gate, quiesce = threading.Event(), context.config.quiesce_file

    def migrate() -> None:
        with held(quiesce, doing="a migration"):
            gate.set()
            time.sleep(0.4)

    migration = threading.Thread(target=migrate)
    migration.start()
    gate.wait(5)
    begun = time.monotonic()

    def body(_: Work) -> Done:
        waited.append(time.monotonic() - begun)
        with pytest.raises(Locked), held(quiesce, wait_seconds=0, doing="the next migration"):
            pass
        return Done("ran")

    run_job(context, Job("logical", "a", quiesces=True), body)
    migration.join()
    assert waited[0] > 0.3
    with held(quiesce, wait_seconds=0):
        pass


def test_a_migration_that_does_not_end_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pasargad_ops.backup.job.QUIESCE_SECONDS", 0.1)
    context = host(tmp_path)
    with held(context.config.quiesce_file, doing="a migration"):
        error = failure(context, Job("logical", "a", quiesces=True), well)
    assert (error.code, "a migration" in error.message) == (Code.CLAIMED, True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_it_as_an_exception_does(tmp_path: Path, number: signal.Signals) -> None:
    context = host(tmp_path)
    process = at_work(tmp_path, {"name": "logical", "slot": SLOT, "claimed": True})
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == Code.INTERRUPTED, err
    assert out == "cleared\n"
    assert looked(context).ended == {1: 130}
    assert told(context) == [("logical", 130)]
    assert [notice["code"] for notice in notices(context)] == [130]


def test_what_a_body_makes_of_a_signal_is_not_the_reason(tmp_path: Path) -> None:
    process = at_work(tmp_path, {"name": "verify", "slot": SLOT}, "blames")
    process.terminate()
    _, err = process.communicate(timeout=20)
    assert process.returncode == Code.INTERRUPTED, err
    assert told(host(tmp_path)) == [("verify", 130)]


def test_a_signal_to_all_its_programs_too_is_no_failure_of_theirs(tmp_path: Path) -> None:
    """systemd ends a unit by a signal to every process of it, and a second one must not cut the clearing off."""
    context = host(tmp_path)
    process = start(SCRIPT, json.dumps(settings(tmp_path)), json.dumps({"name": "verify", "slot": SLOT}), "slow")
    assert process.stdout is not None
    child = int(process.stdout.readline().split()[-1])
    os.kill(child, signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (Code.INTERRUPTED, "cleared\n"), err
    assert told(context) == [("verify", 130)]


def test_a_kill_frees_the_turn_at_once_and_the_claim_after_its_bound(tmp_path: Path) -> None:
    context = host(tmp_path)
    process = at_work(tmp_path, {"name": "logical", "slot": SLOT, "claimed": True, "alone": True})
    assert failure(context, Job("retain", "a", alone=True), well).code is Code.CLAIMED
    process.kill()
    process.communicate(timeout=20)
    run_job(context, Job("retain", "a", alone=True), well)
    assert failure(context, CLAIMED, well).code is Code.CLAIMED
    assert looked(context).is_live(context.objects.now(), BOUND)
    assert not looked(context).is_live(context.objects.now() + BOUND, BOUND)


def test_a_second_run_at_once_ends_with_claimed(tmp_path: Path) -> None:
    context = host(tmp_path)
    process = at_work(tmp_path, {"name": "logical", "slot": SLOT, "claimed": True})
    second = start(
        SCRIPT, json.dumps(settings(tmp_path)), json.dumps({"name": "logical", "slot": SLOT, "claimed": True}), ""
    )
    out, _ = second.communicate(timeout=20)
    assert (second.returncode, out) == (Code.CLAIMED, "")
    process.terminate()
    process.communicate(timeout=20)
    assert [notice["code"] for notice in notices(context)] == [130], "who came second tells nobody"


def test_the_signals_of_whoever_called_are_given_back(tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]
    run_job(host(tmp_path), Job("verify", SLOT), well)
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)] == before


def test_a_run_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    context = host(tmp_path)
    context.config.run_dir.write_text("no directory")
    assert failure(context, Job("verify", SLOT), well).code is Code.BROKEN
    assert told(context) == [("verify", 1)]
