"""A year of nights through the real job on a real directory, and a kill at each write of a retention."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.backup.frame import start
from tests.unit.backup.nights import Clocked, Shop, nights

POLICY = {"days": 4, "weekly": 2, "monthly": 2, "minimum": 2, "most_percent": 60}
SCRIPT = """
import sys
from datetime import datetime
from pathlib import Path
from tests.unit.backup.nights import Clocked, Shop
home, clock, dies_at = Path(sys.argv[1]), datetime.fromisoformat(sys.argv[2]), int(sys.argv[3])
policy = {"days": 4, "weekly": 2, "monthly": 2, "minimum": 2, "most_percent": 60}
Shop(home, Clocked(home / "storage", clock, dies_at if dies_at >= 0 else None), policy=policy).retain()
"""


@pytest.mark.slow
def test_a_year_of_nights_keeps_its_promises(tmp_path: Path) -> None:
    (tmp_path / "storage").mkdir()
    shop = Shop(tmp_path, Clocked(tmp_path / "storage"))
    refusals = nights(shop, random.Random(2026), 365, deaths=0, diffs=False)
    chain = shop.walk()
    logical = [entry for entry in chain.offered if entry.manifest.kind == "logical"]
    physical = [entry for entry in chain.offered if entry.manifest.kind == "physical"]
    print(f"{len(logical)} logical and {len(physical)} physical sets are left, {refusals} nights were refused")
    assert refusals <= 10
    assert 30 <= len(logical) <= 31 + 9 + 12 + 4
    assert 4 <= len(physical) <= 8
    months = {entry.manifest.slot[:7] for entry in logical}
    assert len(months) >= 12
    assert len(list(shop.shelf.list(shop.place.tombstones))) > 300
    assert all(shop.shelf.head(part.key) for entry in logical for part in entry.manifest.objects)


def test_a_kill_at_each_write_is_made_good_by_the_next_run(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "storage").mkdir(parents=True)
    shop = Shop(home, Clocked(home / "storage"), policy=POLICY)
    for _ in range(12):
        shop.logical()
        shop.shelf.clock += timedelta(days=1)
    shop.retain()
    shop.shelf.clock += timedelta(days=1)
    shop.logical()
    good, clock = shop.last_good("logical"), shop.now.isoformat()
    results, kills = set(), 0
    for write in range(60):
        copy = tmp_path / f"copy{write}"
        # Sums are attributes of the files.
        subprocess.run(["cp", "-a", home, copy], check=True)
        killed = start(SCRIPT, str(copy), clock, str(write))
        _, err = killed.communicate(timeout=60)
        assert killed.returncode in (0, -signal.SIGKILL), err
        kills += killed.returncode != 0
        again = Shop(copy, Clocked(copy / "storage", shop.now), policy=POLICY)
        again.assert_sound()
        assert again.last_good("logical") == good
        again.retain()
        again.retain()
        again.assert_sound()
        results.add((tuple(again.seqs()), tuple(stored.key for stored in again.shelf.list(""))))
        shutil.rmtree(copy)
        if killed.returncode == 0:
            break
    print(f"killed at {kills} writes")
    assert kills >= 8
    assert len(results) == 1, "whenever it was killed, the same is left"
