"""How a job ended is told everywhere or said to be untold, and never changes how it ended."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pasargad_ops.backup import telling
from pasargad_ops.backup.errors import Code
from pasargad_ops.backup.telling import Ending, Places, Sample, last_endings, tell

LAST = "pasargad_backup_last_"
GOOD = Ending(
    "logical",
    "2026-11-28",
    Code.DONE,
    "set 7 is made",
    61.5,
    lines=("12 tables",),
    samples=(
        Sample("pasargad_sets", "Sets.", 3, {"kind": "logical"}),
        Sample("pasargad_sets", "Sets.", 9, {"kind": "x"}),
    ),
    peak_rss_bytes=70 << 20,
    bytes=4096,
    changed=True,
    head="7 abcdef",
)
BAD = dataclasses.replace(
    GOOD, code=Code.DUMP_FAILED, summary="pg_dump died", hint="run it again", samples=(), bytes=0, head="", seconds=2.0
)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "state", tmp_path / "metrics", tmp_path / "state" / "outbox")


def measured(places: Places, job: str = "logical") -> dict[tuple[str, ...], float]:
    """Return the metrics of a job as Prometheus reads them, by name and the values of their labels."""
    text = (places.metrics_dir / f"backup_{job}.prom").read_text()
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families), "a name stands once"
    assert all(family.documentation and family.type == "gauge" for family in families)
    return {(s.name, *sorted(s.labels.values())): s.value for family in families for s in family.samples}


def notices(places: Places) -> list[dict[str, Any]]:
    return [json.loads(path.read_text())["notice"] for path in sorted(places.outbox.glob("*.json"))]


def test_an_ending_is_told_to_prometheus(places: Places) -> None:
    assert tell(places, GOOD, now=1000.0) == []
    assert measured(places) == {
        (f"{LAST}attempt_timestamp_seconds", "logical"): 1000,
        (f"{LAST}success_timestamp_seconds", "logical"): 1000,
        (f"{LAST}exit_code", "logical"): 0,
        (f"{LAST}duration_seconds", "logical"): 61.5,
        (f"{LAST}size_bytes", "logical"): 4096,
        (f"{LAST}peak_rss_bytes", "logical"): 70 << 20,
        ("pasargad_sets", "logical"): 3,
        ("pasargad_sets", "x"): 9,
    }
    assert (places.metrics_dir / "backup_logical.prom").stat().st_mode & 0o777 == 0o644


def test_a_failing_run_keeps_what_was_measured_and_when_it_last_went_well(places: Places) -> None:
    tell(places, GOOD, now=1000.0)
    newer = Sample("pasargad_sets", "Sets.", 4, {"kind": "logical"})
    tell(places, dataclasses.replace(BAD, samples=(newer,)), now=2000.0)
    found = measured(places)
    assert found[f"{LAST}success_timestamp_seconds", "logical"] == 1000
    assert found[f"{LAST}attempt_timestamp_seconds", "logical"] == 2000
    assert found[f"{LAST}exit_code", "logical"] == 21
    assert found[f"{LAST}size_bytes", "logical"] == 4096
    assert (found["pasargad_sets", "logical"], found["pasargad_sets", "x"]) == (4, 9)


def test_labels_are_written_as_prometheus_reads_them(places: Places) -> None:
    odd = 'a "quote", a \\ and a\nnew line'
    tell(places, dataclasses.replace(GOOD, samples=(Sample("pasargad_odd", "Odd.", 1.5, {"what": odd}),)))
    assert measured(places)["pasargad_odd", odd] == 1.5


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "7",
        '{"samples": [1]}',
        '{"samples": [{"name": "x"}]}',
        '{"samples": 3}',
        '{"success": "monday"}',
        '{"samples": [{"name": "x", "words": "", "value": "no", "labels": {}}]}',
    ],
)
def test_a_damaged_memory_is_measured_anew(places: Places, content: str) -> None:
    places.job("logical").parent.mkdir(parents=True)
    places.job("logical").write_text(content)
    assert tell(places, GOOD, now=1000.0) == []
    assert measured(places)["pasargad_sets", "x"] == 9


def test_a_failure_is_one_urgent_notice_with_the_next_command(places: Places) -> None:
    tell(places, BAD)
    (notice,) = notices(places)
    assert (notice["kind"], notice["code"], notice["urgent"]) == ("failure", 21, True)
    assert notice["title"] == "logical failed: pg_dump died"
    assert "Next: run it again" in notice["lines"]


def test_a_success_tells_the_head_and_waits_for_the_digest(places: Places) -> None:
    tell(places, GOOD)
    (notice,) = notices(places)
    assert (notice["kind"], notice["urgent"]) == ("success", False)
    assert notice["lines"] == ["12 tables", "Head of the chain: 7 abcdef"]


def test_work_that_another_run_does_is_measured_and_nobody_is_told(places: Places) -> None:
    tell(places, GOOD, now=1000.0)
    before = notices(places)
    tell(places, dataclasses.replace(BAD, code=Code.CLAIMED), now=2000.0)
    assert notices(places) == before
    assert measured(places)[f"{LAST}exit_code", "logical"] == 11
    assert measured(places)[f"{LAST}success_timestamp_seconds", "logical"] == 1000


def blocked(path: Path) -> None:
    """Let nothing be written below `path`, for root too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("a file stands where a directory belongs")


def test_metrics_that_cannot_be_written_are_said_and_the_rest_is_told(places: Places) -> None:
    blocked(places.metrics_dir)
    (said,) = tell(places, BAD)
    assert said.startswith("measure: ") and str(places.metrics_dir) in said
    assert len(notices(places)) == 1
    assert last_endings(places, ["logical"])["logical"]["code"] == 21
    # When it can be written again, nothing of before is missing.
    places.metrics_dir.unlink()
    assert tell(places, GOOD) == []


def test_a_state_that_cannot_be_written_does_not_silence_the_metrics(places: Places) -> None:
    blocked(places.state_dir)
    said = tell(places, BAD, now=2000.0)
    assert [words.partition(":")[0] for words in said] == ["remember", "measure", "notify"]
    assert measured(places)[f"{LAST}exit_code", "logical"] == 21


def test_whatever_goes_wrong_while_telling_is_only_said(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise KeyError("password=hunter22")

    monkeypatch.setattr(telling, "_notify", broken)
    broken.__name__ = "_notify"
    (said,) = tell(places, GOOD)
    assert said.startswith("notify: KeyError") and "hunter22" not in said


def test_secrets_are_hidden_in_all_that_is_kept(places: Places) -> None:
    tell(places, dataclasses.replace(BAD, summary="password=hunter22 was refused"))
    kept = "".join(path.read_text() for path in places.state_dir.rglob("*") if path.is_file())
    assert "hunter22" not in kept and "********" in kept


def test_the_last_ending_of_each_job_is_found(places: Places) -> None:
    tell(places, BAD)
    tell(places, GOOD)
    tell(places, dataclasses.replace(BAD, job="drill", code=Code.CLAIMED))
    with places.history.open("a") as file:
        file.write('7\n["torn"]\n{"job": "logical", "co')
    found = last_endings(places, ["logical", "drill", "verify"])
    assert {job: line["code"] for job, line in found.items()} == {"logical": 0, "drill": 11}
    assert found["logical"]["head"] == "7 abcdef"


def test_a_failure_is_not_forgotten_because_another_run_came(places: Places) -> None:
    tell(places, BAD)
    tell(places, dataclasses.replace(BAD, code=Code.CLAIMED))
    assert last_endings(places, ["logical"])["logical"]["code"] == 21


def test_the_history_stays_short(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "HISTORY_BYTES", 2000)
    monkeypatch.setattr(telling, "HISTORY_LINES", 5)
    for _ in range(40):
        tell(places, GOOD)
    assert places.history.stat().st_size < 4000
    assert "logical" in last_endings(places, ["logical"])


def test_the_journal_has_one_line_of_json(places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    tell(places, dataclasses.replace(BAD, summary="two\nlines"))
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["pasargad_backup"]["code"] == 21
