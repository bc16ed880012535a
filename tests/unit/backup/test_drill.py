"""The decisions of a drill: which second, whether it ended there, and how all that is told."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pasargad_ops.backup.config import BackupConfig
from pasargad_ops.backup.context import Context
from pasargad_ops.backup.drill import KINDS, DrillRequest, drill, place_of
from pasargad_ops.backup.drill_checks import emptied
from pasargad_ops.backup.drill_end import NO_ROWS, Seen, judge_end
from pasargad_ops.backup.drill_report import Drilled, as_record, idle_phases, told, verdict
from pasargad_ops.backup.drill_target import BEFORE_A_GAP, random_second, refuse_gap
from pasargad_ops.backup.errors import BackupError, Code
from pasargad_ops.backup.records import canonical
from pasargad_ops.backup.wal import Gap
from pasargad_ops.backup.windows import Break, Window, Windows
from tests.unit.backup.sets import SYSTEM_ID

INFINITE = float("inf")


def window(since: int, until: int) -> Window:
    return Window(1, since, until, "", "", ())


def drilled(**changes: Any) -> Drilled:
    phases = {"fetch": 3.0, "recovery": 2.0, "open": 0.01, "checks": 100.0}
    return Drilled(**{"kind": "physical", "target": "then", "label": "one", "phases": phases, "rpo": 7.0, **changes})


def context(**changes: Any) -> Context:
    settings = {
        "env": "prod",
        "host": "db1",
        "storage": {"directory": "/nowhere"},
        "cluster": {
            "database": "shop",
            "version": 15,
            "data_dir": "/var/lib/postgresql/15/main",
            "system_id": SYSTEM_ID,
        },
        "trusted_keys": ["ed25519:none"],
    }
    return Context(BackupConfig.from_mapping({**settings, **changes}))


def test_every_second_is_drilled_as_often_as_any_other() -> None:
    known = Windows(1, (window(0, 300 + int(BEFORE_A_GAP)), window(1000, 1700)))
    found = [random_second(known, random.Random(seed), 9000.0) for seed in range(4000)]
    first, second = [at for at in found if at <= 300], [at for at in found if 1000 <= at <= 1700]
    assert len(first) + len(second) == len(found), "a target outside of every window, or before a gap"
    assert 0.27 < len(first) / len(found) < 0.33
    tenths = [sum(1000 + 70 * number <= at < 1070 + 70 * number for at in second) for number in range(10)]
    assert min(tenths) > 200 and min(second) < 1002 and max(second) > 1698


def test_a_target_lies_before_the_mark_that_ends_its_recovery() -> None:
    known = Windows(1, (window(0, 100), window(1000, 1700)))
    found = [random_second(known, random.Random(seed), 1001.0) for seed in range(100)]
    assert min(found) >= 1000 and max(found) <= 1001
    assert len({*found}) > 90, "the seed decides"
    assert found[7] == random_second(known, random.Random(7), 1001.0)


@pytest.mark.parametrize("windows", [(), (window(1000, 1700),), (window(0, 100), window(1000, 1700))])
def test_without_a_second_to_restore_there_is_no_drill(windows: tuple[Window, ...]) -> None:
    with pytest.raises(BackupError) as caught:
        random_second(Windows(1, windows), random.Random(1), 1000.0)
    assert caught.value.code == Code.TARGET_TIME and caught.value.hint


def test_everything_there_is_would_end_at_a_gap() -> None:
    gap = Gap("000000010000000000000005", "000000010000000000000005", 1)
    refuse_gap(Windows(1, breaks=(Break(1, 2, gap, "mended by a backup"),)))
    with pytest.raises(BackupError, match="WAL 5 is missing") as caught:
        refuse_gap(Windows(1, breaks=(Break(1, None, gap, "WAL 5 is missing"),)))
    assert caught.value.code == Code.WAL_GAP and caught.value.hint


@pytest.mark.parametrize(
    ("newest", "bound", "beaten", "lost"),
    [
        (1000, 1030, 1000, 30),
        (1000, 1030, 0, 30),
        # Whatever was written in the very last moment may be there or not.
        (970, 1030, 1028, 60),
        # Nobody knows how long a host was down, but what it had written is all there.
        (100, 1030, 100, 60),
        # It was down as well, and one row is lost.
        (40, 1030, 41, 61),
        # WAL that arrived while everything there is was copied.
        (1100, 1200, 1020, 0),
    ],
)
def test_what_is_lost_is_what_the_shop_had_written(newest: float, bound: float, beaten: float, lost: float) -> None:
    assert judge_end(Seen(newest), 1030, bound=bound, beaten=beaten, exact=False) == (lost, [])


def test_a_restore_must_not_end_too_late_nor_too_early() -> None:
    def problems(newest: float, *, beaten: float = 1000, exact: bool = True) -> list[str]:
        return judge_end(Seen(newest), 1030, bound=1030, beaten=beaten, exact=exact)[1]

    assert problems(1000) == []
    assert problems(1030) == [] == problems(1030.0009)
    assert "after its target" in problems(1030.01)[0]
    assert "is missing" in problems(999)[0]
    assert problems(999, exact=False) == []
    assert problems(940, beaten=1026) == [], "it was written before the target, and perhaps committed after it"
    assert judge_end(Seen(0.0), 1030, bound=1030, beaten=0, exact=True) == (INFINITE, [NO_ROWS])


def test_what_is_wrong_comes_before_what_is_slow() -> None:
    assert verdict(drilled(), 7, 5.01) == Code.DONE
    assert verdict(drilled(), 7, 5) == Code.RTO_OVER
    assert verdict(drilled(), 6.9, 5) == Code.RPO_OVER
    assert verdict(drilled(rpo=INFINITE), 10**9, 9) == Code.RPO_OVER
    assert verdict(drilled(problems=["broken"]), 6.9, 5) == Code.DRILL_FAILED
    # Nothing of the sort is promised of these.
    assert verdict(drilled(kind="logical"), 0, 0) == Code.DONE
    assert verdict(drilled(kind="logical", problems=["broken"]), 0, 0) == Code.DRILL_FAILED


def test_a_phase_without_time_was_not_measured() -> None:
    assert idle_phases(drilled()) == []
    assert idle_phases(drilled(phases={"fetch": 1.0, "open": 0.0})) == ["the phase open took no time"]


def test_the_checks_keep_no_shop_closed() -> None:
    assert drilled().rto == pytest.approx(5.01)
    assert "5.0 s, 7 s lost" in told(drilled())[0]
    assert "nobody can tell" in told(drilled(rpo=INFINITE))[0]
    assert "lost" not in told(drilled(kind="logical"))[0]


def test_a_report_can_be_signed_whatever_was_measured() -> None:
    record = as_record(drilled(rpo=INFINITE, parts={"fetch-data": 1.5}, problems=["one"]))
    assert canonical(record)
    assert record["rpo_ms"] == -1 and record["rto_ms"] == 5010 and record["phases_ms"]["fetch-data"] == 1500
    assert as_record(drilled())["rpo_ms"] == 7000


def test_a_table_is_lost_when_nothing_of_it_is_left() -> None:
    assert emptied({"a": 0, "b": 2}, ["a", "b", "c"]) == [
        f"{name} is empty, and was filled before and after" for name in ("a", "c")
    ]


NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (DrillRequest("half"), Code.CONFIG),
        (DrillRequest("physical", at=NOON.replace(tzinfo=None)), Code.TARGET_TIME),
        (DrillRequest("logical", at=NOON), Code.TARGET_TIME),
        (DrillRequest("canary", at=NOON), Code.TARGET_TIME),
        (DrillRequest("physical", seq=3), Code.CONFIG),
        (DrillRequest("canary", seq=3), Code.CONFIG),
    ],
)
@pytest.mark.parametrize("dry_run", [True, False])
def test_a_request_that_means_nothing_is_refused(request_: DrillRequest, code: Code, dry_run: bool) -> None:
    with pytest.raises(BackupError) as caught:
        drill(context(), request_, dry_run=dry_run)
    assert caught.value.code == code and caught.value.hint


@pytest.mark.parametrize("scratch", ["/var/lib/postgresql/15/main", "/var/lib/postgresql/15/main/base/x", "/link"])
def test_nothing_is_restored_among_the_living_files(
    scratch: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if scratch == "/link":
        (tmp_path / "link").symlink_to("/var/lib/postgresql/15/main")
        scratch = str(tmp_path / "link")
    with pytest.raises(BackupError, match="among the files") as caught:
        place_of(context(scratch_dir=scratch), "physical")
    assert caught.value.code == Code.CONFIG and caught.value.hint


def test_nothing_living_lies_where_drills_restore() -> None:
    settings = context().config.cluster
    cluster = {"database": "shop", "version": 15, "system_id": settings.system_id}
    with pytest.raises(BackupError, match="among the files"):
        place_of(context(scratch_dir="/srv", cluster={**cluster, "data_dir": "/srv/drill-physical/data"}), "physical")


def test_each_kind_has_a_place_and_a_port_of_its_own() -> None:
    places = [place_of(context(), kind) for kind in KINDS]
    assert len({place.root for place in places}) == len({place.port for place in places}) == 3
    assert all(place.root.parent == Path("/var/lib/pasargad-drill") for place in places)
