"""What a whole run covers: no test file and no scenario is left out."""

from __future__ import annotations

from pathlib import Path

from tests.run.stages import DEFAULT_STAGES, OWN_STAGE, ROOT, STAGES


def commands(stage: str) -> list[str]:
    return [word for step in STAGES[stage]().steps for word in step.argv]


def test_a_whole_run_covers_every_test_file() -> None:
    covered = [word for stage in DEFAULT_STAGES for word in commands(stage) if (ROOT / word).exists()]
    roots = [ROOT / word for word in covered]
    # Commands of their own: three hosts more than a run has time for, and minutes of dumps that die.
    own = {ROOT / "tests/fleet", ROOT / "tests/backup"}
    files = [path for path in (ROOT / "tests").rglob("test_*.py") if path.parent not in own]
    files += (ROOT / "app").rglob("test_*.py")
    lost = [str(path) for path in files if not any(path.is_relative_to(root) for root in roots)]
    assert files and not lost


def test_hosts_are_booted_by_one_stage_that_has_every_scenario() -> None:
    scenarios = {path.parents[2] for path in (ROOT / "roles").glob("*/molecule/*/molecule.yml")}
    directories = {step.directory for step in STAGES["hosts"]().steps}
    assert scenarios and scenarios <= directories


def test_what_is_left_to_another_shop_is_tested_there() -> None:
    ignored = [word.removeprefix("--ignore=") for word in commands("hosts") if word.startswith("--ignore=")]
    assert ignored and set(ignored) <= set(commands("hosts"))


def test_shops_of_one_stage_have_labs_of_their_own() -> None:
    labs = [step.environment.get("PASARGAD_E2E_LAB") for step in STAGES["e2e"]().steps]
    assert None not in labs and len(set(labs)) == len(labs)


def test_directories_with_a_stage_of_their_own_exist() -> None:
    assert all((Path(ROOT) / "tests" / name).is_dir() for name in OWN_STAGE)
