"""What the test runner tells of failures at its end."""

from __future__ import annotations

from pathlib import Path

from tests.run.report import failures
from tests.run.runner import StepResult
from tests.run.stages import Step

JUNIT = """<testsuites><testsuite tests="3" failures="1" errors="1" skipped="0">
<testcase classname="app.test_books" name="test_good"/>
<testcase classname="app.test_books" name="test_bad"><failure message="assert 1 == 2&#10;more">all</failure></testcase>
<testcase classname="app.test_books" name="test_broken"><error message="no database">all</error></testcase>
</testsuite></testsuites>"""


def ended(name: str, problem: str) -> StepResult:
    return StepResult(Step(name, ["true"]), 0.0, 1.0, problem, Path("unused.log"))


def test_each_failed_test_has_a_line(tmp_path: Path) -> None:
    (tmp_path / "app.xml").write_text(JUNIT)
    assert failures([ended("app", "ended with 1"), ended("lint", "")], tmp_path) == [
        "app: app.test_books::test_bad: assert 1 == 2",
        "app: app.test_books::test_broken: no database",
    ]


def test_a_step_that_fails_without_a_failed_test_has_one_too(tmp_path: Path) -> None:
    assert failures([ended("ruff", "ended with 1")], tmp_path) == ["ruff: ended with 1"]
