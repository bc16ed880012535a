"""What a scratch cluster does before any PostgreSQL runs: whose leftovers it removes, and under whose hands."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pasargad_ops.backup import scratch
from pasargad_ops.backup.errors import BackupError, Code
from pasargad_ops.backup.scratch import ScratchPlace, discard, scratch_root

SLEEPS = [sys.executable, "-c", "import time; time.sleep(60)"]


def started(*words: str) -> subprocess.Popen[bytes]:
    """Start a program that sleeps, and wait until the kernel tells its words: that takes a moment longer."""
    process = subprocess.Popen([*SLEEPS, *words])
    while not Path(f"/proc/{process.pid}/cmdline").read_bytes().endswith(f"{words[-1]}\0".encode()):
        time.sleep(0.01)
    return process


@pytest.fixture
def place(tmp_path: Path) -> ScratchPlace:
    place = ScratchPlace(tmp_path / "scratch", Path("/usr/bin"))
    place.data_dir.mkdir(parents=True)
    return place


def test_whoever_still_fills_it_for_a_run_that_was_killed_is_ended(place: ScratchPlace) -> None:
    filling = started(f"--pg1-path={place.data_dir}")
    other = started(f"--pg1-path={place.data_dir}2")
    try:
        discard(place)
        assert filling.wait(timeout=10) == -15
        assert other.poll() is None, "a neighbour is nobody's leftover"
    finally:
        for process in (filling, other):
            process.kill()
            process.wait()
    assert not place.root.exists()


def test_one_that_does_not_listen_is_ended_all_the_same(place: ScratchPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pasargad_ops.backup.scratch.WRITER_SECONDS", 0.5)
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    filling = subprocess.Popen([sys.executable, "-c", deaf, f"--pg1-path={place.data_dir}"], stdout=subprocess.PIPE)
    assert filling.stdout
    filling.stdout.readline()
    discard(place)
    assert filling.wait(timeout=10) == -9


def test_a_directory_with_other_things_is_left_alone(place: ScratchPlace) -> None:
    (place.root / "orders.txt").touch()
    with pytest.raises(BackupError) as refusal:
        discard(place)
    assert refusal.value.code == Code.TARGET_REFUSED
    assert place.data_dir.exists()


@pytest.mark.parametrize("ours", [True, False])
def test_a_number_that_another_server_has_now_is_not_stopped(
    place: ScratchPlace, monkeypatch: pytest.MonkeyPatch, ours: bool
) -> None:
    """After a reboot the leftover names any process, even the living server."""
    stopped: list[str] = []
    monkeypatch.setattr(scratch, "_control", lambda _, *arguments, check: stopped.append(arguments[-1]))
    directory = place.data_dir if ours else place.data_dir.with_name("main")
    server = started("-D", str(directory))
    try:
        (place.data_dir / "postmaster.pid").write_text(f"{server.pid}\n{place.data_dir}\n")
        discard(place)
        assert server.poll() is None
    finally:
        server.kill()
        server.wait()
    assert stopped == (["stop"] if ours else [])
    assert not place.root.exists()


@pytest.mark.parametrize("content", ["", "none\n", f"{2**22 + 1}\n"])
def test_a_leftover_that_names_no_process_is_removed(place: ScratchPlace, content: str) -> None:
    (place.data_dir / "postmaster.pid").write_text(content)
    discard(place)
    assert not place.root.exists()


def test_its_user_gets_through_whatever_mask_a_unit_runs_under(tmp_path: Path) -> None:
    place = ScratchPlace(tmp_path / "new" / "drill", Path("/usr/bin"), user="daemon")
    before = os.umask(0o077)
    try:
        with scratch_root(place):
            assert place.root.stat().st_mode & 0o777 == 0o700
            assert place.root.parent.stat().st_mode & 0o777 == 0o755
    finally:
        os.umask(before)
    assert place.root.parent.exists() and not place.root.exists()
