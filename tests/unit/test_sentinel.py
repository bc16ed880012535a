"""The sentinel finds what it looks for; otherwise its silence would mean nothing."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sentinel import Bystander, ExecutionWatcher, Sentinel, files_with_secrets

SECRET = "s3ntinel-of-the-unit-tests-0123456789"


@pytest.fixture
def sentinel() -> Sentinel:
    return Sentinel({"one": SECRET, "other": "another-secret-that-is-never-shown"})


@pytest.mark.parametrize("lead", ["", "a", "ab", "abc", "user:"])
def test_a_secret_is_found_bare_and_in_base64(sentinel: Sentinel, lead: str) -> None:
    assert sentinel.find(f"x{lead}{SECRET}y") == {"one"}
    assert sentinel.find(base64.b64encode(f"{lead}{SECRET} and more".encode())) == {"one"}
    assert sentinel.find("nothing of the kind") == set()


def test_a_failure_shows_the_place_and_not_the_secret(sentinel: Sentinel) -> None:
    assert sentinel.around(f"the password is {SECRET}.") == ["the password is <one>"]


def test_even_a_program_that_ends_at_once_is_seen_mostly_with_its_arguments(sentinel: Sentinel) -> None:
    with ExecutionWatcher(sentinel) as watcher:
        for _ in range(60):
            subprocess.run(["/bin/sh", "-c", "exit 0", SECRET], check=True)
    assert watcher.result.seen >= 60
    # On a busy machine some have ended before they could be read; these are counted, never passed over.
    assert len(watcher.result.leaks) + watcher.result.missed >= 60
    assert len(watcher.result.leaks) >= 10
    assert watcher.result.leaks[0]["names"] == ["one"]


def test_a_bystander_sees_arguments_of_others_and_environments_of_its_own_kind_only(sentinel: Sentinel) -> None:
    wait = "import sys; sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", wait, SECRET], stdin=subprocess.PIPE) as argument:
        assert Bystander(sentinel).look() == {"one"}
        argument.communicate()
    environment = {"OTHER": "another-secret-that-is-never-shown"}
    with subprocess.Popen([sys.executable, "-c", wait], stdin=subprocess.PIPE, env=environment) as hidden:
        assert Bystander(sentinel).look() == set()
        hidden.communicate()


def test_files_are_told_apart_by_who_may_read_them(sentinel: Sentinel, tmp_path: Path) -> None:
    for name, directory_mode, mode in (("open", 0o755, 0o644), ("closed", 0o755, 0o640), ("inside", 0o700, 0o644)):
        directory = tmp_path / name
        directory.mkdir()
        (directory / "file").write_text(f"password={SECRET}\n")
        (directory / "file").chmod(mode)
        directory.chmod(directory_mode)
    (tmp_path / "open/nothing").write_text("plain")
    found = {finding.path: finding.readable_by_all for finding in files_with_secrets(sentinel, tmp_path)}
    assert found == {"open/file": True, "closed/file": False, "inside/file": False}


def test_a_secret_that_could_be_any_word_is_refused() -> None:
    with pytest.raises(ValueError, match="too short"):
        Sentinel({"one": "secret"})
