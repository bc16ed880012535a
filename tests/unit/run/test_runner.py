"""Steps of all stages share the lanes, and each stage is reported as one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.run import runner as module
from tests.run.runner import Runner, StepResult
from tests.run.stages import Stage, Step


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "RESULTS", tmp_path)
    return tmp_path


def shell(name: str, script: str) -> Step:
    return Step(name, ["/bin/sh", "-c", script])


def run(*stages: Stage) -> dict[str, list[StepResult]]:
    ended: dict[str, list[StepResult]] = {}
    Runner(lambda line: None).run(stages, lambda stage, steps: ended.update({stage.name: steps}))
    return ended


def test_a_lane_does_not_wait_for_the_end_of_a_stage(tmp_path: Path) -> None:
    wait = f"until [ -e {tmp_path}/go ]; do sleep 0.02; done"
    ended = run(
        Stage("first", [shell("waits", wait), shell("short", "true")]), Stage("next", [shell("go", f"> {tmp_path}/go")])
    )
    assert [result.problem for results in ended.values() for result in results] == ["", "", ""]
    assert list(ended) == ["first", "next"]


def test_a_failure_stops_no_other_and_names_its_code(tmp_path: Path) -> None:
    ended = run(Stage("first", [shell("bad", "echo why; exit 3"), shell("good", "true")]), Stage("next", []))
    assert [result.problem for result in ended["first"]] == ["ended with 3", ""]
    assert ended["next"] == []
    assert (tmp_path / "first-bad.log").read_text() == "why\n"


def test_no_more_steps_run_at_once_than_there_are_lanes(tmp_path: Path) -> None:
    # Each takes a place, and fails when both are taken.
    one = f"mkdir {tmp_path}/a || mkdir {tmp_path}/b || exit 1; sleep 0.1; rmdir {tmp_path}/a || rmdir {tmp_path}/b"
    ended = run(Stage("many", [shell(f"step{number}", one) for number in range(6)]))
    assert [result.problem for result in ended["many"]] == [""] * 6
