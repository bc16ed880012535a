"""What each stage runs. Tests are discovered: a new test file or scenario needs no entry here."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / ".venv/bin"
RESULTS = ROOT / "test-results"
# Directories of tests/ with a stage of their own, or (fleet, backup) a command; all others with test files are quick.
OWN_STAGE = ("lab", "e2e", "fleet", "backup")
# Of the tests without hosts these take minutes: they begin, so that none of them runs last and alone.
LONGEST = ("unit", "templates", "pages")
# Labs 100 to 119 belong to this program; tests/e2e uses what lies below these.
LAB_OF_LAB_TESTS = 117
LABS_OF_SCENARIOS = (118, 119)
LABS_OF_SHOPS = (100, 101)


@dataclass(frozen=True)
class Step:
    """One program to run. Steps run side by side, as many as there are lanes."""

    name: str
    argv: Sequence[str]
    directory: Path = ROOT
    environment: dict[str, str] = field(default_factory=dict)
    seconds: float = 2400
    counts_tests: bool = False


@dataclass(frozen=True)
class Stage:
    """A group of steps that is reported as one."""

    name: str
    steps: Sequence[Step]
    missing: str = ""


def tool(name: str, *arguments: str) -> list[str]:
    """Command line of a program of the virtual environment."""
    return [str(BIN / name), *arguments]


def pytest_step(name: str, *arguments: str, prefix: Sequence[str] = (), **options: object) -> Step:
    """A pytest run whose counts and failures are collected."""
    report = f"--junitxml={RESULTS / 'junit' / f'{name}.xml'}"
    argv = [*prefix, *tool("pytest", "-q", "--durations=5", report, *arguments)]
    return Step(name, argv, counts_tests=True, **options)  # type: ignore[arg-type]


def lint() -> Stage:
    """Linters, type checks, and the syntax of every playbook."""
    typed = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "module_utils").iterdir() if path.is_dir())
    scripts = ["bin/setup", ".ci/run"]
    playbooks = ["deploy.yml", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "playbooks").glob("*.yml"))]
    steps = [
        Step("ruff", tool("ruff", "check", ".")),
        Step("ruff-format", tool("ruff", "format", "--check", ".")),
        Step("mypy", tool("mypy", *[name for name in typed if not name.endswith("__pycache__")], "tests")),
        Step("yamllint", tool("yamllint", "--strict", ".")),
        Step("ansible-lint", tool("ansible-lint", "--offline")),
        Step("import-linter", tool("lint-imports", "--no-cache"), directory=ROOT / "app"),
        Step("playbook-syntax", tool("ansible-playbook", "--syntax-check", *playbooks)),
        Step("shellcheck", ["shellcheck", *scripts]),
    ]
    return Stage("lint", steps)


def quick_directories() -> list[str]:
    """Directories of tests/ with test files that have no stage of their own, those that take longest first."""
    found = {path.relative_to(ROOT / "tests").parts[0] for path in (ROOT / "tests").rglob("test_*.py")}
    rest = sorted(found - set(OWN_STAGE) - set(LONGEST))
    return [f"tests/{name}" for name in (*LONGEST, *rest) if (ROOT / "tests" / name).is_dir()]


def unit() -> Stage:
    """Tests that need no host: units, templates, guards."""
    return Stage("unit", [pytest_step(name.replace("/", "-"), name) for name in quick_directories()])


def app() -> Stage:
    """The shop's own tests, against real PostgreSQL and Redis: two halves side by side, each with its own servers."""
    services = [*tool("python", "-m", "tests.services", "run", "--")]
    environment = {"DJANGO_SETTINGS_MODULE": "config.settings.test"}
    halves = enumerate(shop_halves(), 1)
    steps = [
        pytest_step(f"app-{number}", *half, prefix=services, environment=environment, seconds=2400)
        for number, half in halves
    ]
    return Stage("app", steps)


def shop_halves() -> tuple[list[str], list[str]]:
    """The shop's directories of tests in two halves of about the same size, the largest first."""
    sizes: dict[str, int] = {}
    for path in (ROOT / "app").rglob("test_*.py"):
        directory = str(path.parent.relative_to(ROOT))
        sizes[directory] = sizes.get(directory, 0) + path.stat().st_size
    halves: tuple[list[str], list[str]] = ([], [])
    for directory in sorted(sizes, key=lambda name: sizes[name], reverse=True):
        min(halves, key=lambda half: sum(sizes[name] for name in half)).append(directory)
    return halves


def lab() -> Stage:
    """The lab itself, by booting hosts."""
    environment = {"PASARGAD_LAB_TEST_NUMBER": str(LAB_OF_LAB_TESTS)}
    return Stage("lab", [pytest_step("lab", "tests/lab", environment=environment)])


def molecule() -> Stage:
    """Every scenario of every role, on Debian 12 and 13."""
    return Stage("molecule", list(scenarios()), missing="roles/*/molecule/*/molecule.yml")


def scenarios() -> Iterator[Step]:
    """One step per scenario, those with the most tests first: no long one runs last. The lane decides its lab."""
    for path in sorted((ROOT / "roles").glob("*/molecule/*/molecule.yml"), key=size_of_tests, reverse=True):
        role, scenario = path.parents[2], path.parent.name
        name = f"{role.name}-{scenario}"
        report = f"--junitxml={RESULTS / 'junit' / f'molecule-{name}.xml'}"
        environment = {"PYTEST_ADDOPTS": report, "PY_COLORS": "0", "NO_COLOR": "1"}
        argv = tool("molecule", "test", "--scenario-name", scenario)
        yield Step(f"molecule-{name}", argv, role, environment, seconds=1500, counts_tests=True)


def size_of_tests(scenario: Path) -> int:
    """How much a scenario tests: the bytes of its test files."""
    return sum(path.stat().st_size for path in scenario.parent.glob("tests/*.py"))


def e2e() -> Stage:
    """A deployed shop: load through a deploy, faults, a browser that buys something. The faults have their own shop."""
    faults = "tests/e2e/bad_input"
    parts = {"e2e-bad_input": [faults], "e2e-shop": ["tests/e2e", f"--ignore={faults}"]}
    steps = [
        pytest_step(name, *arguments, environment={"PASARGAD_E2E_LAB": str(lab)}, seconds=2700)
        for lab, (name, arguments) in zip(LABS_OF_SHOPS, parts.items(), strict=True)
    ]
    return Stage("e2e", steps)


def hosts() -> Stage:
    """Everything that boots hosts. The longest begin."""
    parts = [e2e(), molecule(), lab()]
    missing = [part.missing for part in parts if not part.steps]
    steps = [] if missing else [step for part in parts for step in part.steps]
    return Stage("hosts", steps, missing=", ".join(missing))


# In this order, unless stages are named: what fails soonest comes first.
DEFAULT_STAGES = {"lint": lint, "unit": unit, "app": app, "hosts": hosts}
STAGES = {**DEFAULT_STAGES, "lab": lab, "molecule": molecule, "e2e": e2e}


def base_environment() -> dict[str, str]:
    """What every step sees: our tools first, our ansible.cfg, no colours."""
    path = f"{BIN}:{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    return {
        **os.environ,
        "PATH": path,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_NOCOLOR": "1",
        "NO_COLOR": "1",
    }
