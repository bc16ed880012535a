"""What a scratch cluster does before any PostgreSQL runs: whose leftovers it removes, and under whose hands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pasargad_ops.backup.errors import BackupError, Code
from pasargad_ops.backup.scratch import ScratchPlace, discard

SLEEPS = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def place(tmp_path: Path) -> ScratchPlace:
    place = ScratchPlace(tmp_path / "scratch", Path("/usr/bin"))
    place.data_dir.mkdir(parents=True)
    return place


def test_whoever_still_fills_it_for_a_run_that_was_killed_is_ended(place: ScratchPlace) -> None:
    filling = subprocess.Popen([*SLEEPS, f"--pg1-path={place.data_dir}"])
    other = subprocess.Popen([*SLEEPS, f"--pg1-path={place.data_dir}2"])
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
