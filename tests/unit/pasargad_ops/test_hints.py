"""What a failure says to do next follows from what the programs below said."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from pasargad_ops import shell, units
from pasargad_ops.config import WEB_STOP_SECONDS, ReleaseConfig
from pasargad_ops.manage import database_hint, last_exception
from pasargad_ops.preflight import refusal_behind_pooler, said_by_server
from pasargad_ops.readiness import crashed
from pasargad_ops.release import refused_by_kernel
from pasargad_ops.shell import CommandFailed, Finished, run

AT = 'psycopg2.OperationalError: connection to server at "127.0.0.1", port 5432 failed: '


@pytest.mark.parametrize(
    ("said", "mend"),
    [
        (f'{AT}FATAL:  password authentication failed for user "pasargad_app"', "pasargad_converge=full"),
        (f"{AT}FATAL:  sorry, too many clients already", "postgres_max_connections"),
        (f'{AT}FATAL:  too many connections for role "pasargad_migrator"', "postgres_max_connections"),
        (f"{AT}Connection refused", "systemctl status postgresql pgbouncer"),
        ("ERROR:  server login has been failing, cached error: connect failed", "systemctl status postgresql"),
        ("FATAL:  the database system is shutting down", "systemctl status postgresql"),
        ("AttributeError: 'NoneType' object has no attribute 'x'", ""),
    ],
)
def test_the_database_refuses_in_many_words(said: str, mend: str) -> None:
    hint = database_hint(said)
    assert mend in hint
    assert bool(hint) == bool(mend)


def test_psql_says_why_before_it_says_that_it_lost_the_connection() -> None:
    said = "FATAL:  query_wait_timeout\nserver closed the connection unexpectedly\nconnection to server was lost\n"
    assert said_by_server(said) == "FATAL:  query_wait_timeout"
    assert said_by_server("psql: error: could not translate host name") == "psql: error: could not translate host name"
    assert said_by_server("") == "no answer"


@pytest.mark.parametrize(
    ("told", "mend"),
    [
        ('FATAL: password authentication failed for user "pasargad_app"', "pasargad_converge=full"),
        ('FATAL: too many connections for role "pasargad_app"', "postgres_max_connections"),
    ],
)
def test_what_the_pooler_hides_stands_in_its_journal(monkeypatch: pytest.MonkeyPatch, told: str, mend: str) -> None:
    said = ["S: login failed: FATAL: something of before", f"S: login failed: {told}", "C-0x5: pooler error: no"]
    monkeypatch.setattr(units, "journal_tail", lambda unit, since, lines: said)
    hidden = "FATAL:  server login has been failing, try again later\nconnection to server was lost"
    assert refusal_behind_pooler(hidden) == told
    assert mend in database_hint(refusal_behind_pooler(hidden))
    assert refusal_behind_pooler("connection refused") == "", "the pooler itself is away: its journal tells nothing"
    monkeypatch.setattr(units, "journal_tail", lambda unit, since, lines: ["C-0x5: pooler error: no"])
    assert refusal_behind_pooler(hidden) == ""


def test_the_last_exception_is_the_cause() -> None:
    log = ["Traceback (most recent call last):", "ValueError: first", "During handling", "app.errors.ShopError: second"]
    assert last_exception([*log, "[7] [INFO] Worker exiting", "Errors happen"]) == "app.errors.ShopError: second"
    assert last_exception(["all is well"]) == ""


def test_a_crash_is_told_by_its_exception_not_by_the_middle_of_the_next_traceback() -> None:
    whole = ["Traceback (most recent call last):", *[f"  File {n}" for n in range(40)], "RuntimeError: broken"]
    half = ["Worker exiting", "Traceback (most recent call last):", *[f"  File {n}" for n in range(35)]]
    error = crashed("blue", "abc", [*whole, *half])
    assert error.message.endswith("RuntimeError: broken")
    assert error.details["log"][-1] == "RuntimeError: broken"
    assert len(error.details["log"]) == 30
    assert crashed("blue", "abc", ["Killed"]).details["log"] == ["Killed"]


def test_a_full_disk_is_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed) as caught:
        run(["sh", "-c", "echo 'tar: x: Cannot write: No space left on device' >&2; exit 2"])
    assert "free space" in caught.value.hint
    assert "free space" in refused_by_kernel(OSError(errno.ENOSPC, "No space left on device", str(tmp_path))).hint
    assert "free space" not in refused_by_kernel(PermissionError(errno.EACCES, "Permission denied", str(tmp_path))).hint


def test_a_unit_that_does_not_stop_is_named_with_the_way_to_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(command: list[str], **options: object) -> Finished:
        if "stop" in command:
            raise CommandFailed("systemctl did not end within 330 s")
        state = "deactivating" if "pasargad-worker@blue.service" in command else "inactive"
        return Finished(0, f"ActiveState={state}\n", "")

    monkeypatch.setattr(shell, "run", busy)
    with pytest.raises(CommandFailed, match=r"^pasargad-worker@blue.service did not stop") as caught:
        units.stop(units.web("blue"), units.worker("blue"), timeout=330)
    assert "journalctl -u pasargad-worker@blue.service -e" in caught.value.hint
    assert "systemctl kill --signal=KILL pasargad-worker@blue.service" in caught.value.hint


def test_the_operations_wait_longer_than_the_units_may_take() -> None:
    unit = (Path(__file__).parents[3] / "roles/app_service/templates/pasargad-web@.service.j2").read_text()
    assert f"TimeoutStopSec={WEB_STOP_SECONDS:.0f}\n" in unit
    for seconds in (10.0, 300.0):
        config = ReleaseConfig("shop.test", "cp311", worker_stop_seconds=seconds)
        assert config.stop_seconds > max(seconds, WEB_STOP_SECONDS)
