"""What must not be in the tree, and what every room must have."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from pathlib import Path

import ansible.module_utils
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir())
MODULES = sorted((ROOT / "library").glob("*.py"))
ON_HOSTS = sorted([*MODULES, *(ROOT / "module_utils").rglob("*.py")])
TEXT_SUFFIXES = {
    ".py",
    ".yml",
    ".yaml",
    ".cfg",
    ".toml",
    ".txt",
    ".in",
    ".md",
    ".j2",
    ".sh",
    ".json",
    ".conf",
    ".service",
    "",
}
# Written in pieces so that this file does not find itself.
REGISTRIES = re.compile(
    "|".join(["files.python" + "hosted", "pypi" + r"\.org", "registry.npm" + "js", "galaxy." + r"ansible\.com"])
)
MACHINE_PATHS = re.compile("|".join([r"(?<![\w.])/wor" + r"k/", r"/root/\.py" + "env", r"/home/[a-z]+" + r"/(?!\.)"]))
IGNORED_ERRORS = re.compile("^\\s*ignore_" + "errors:\\s*(true|yes)", re.MULTILINE)
# A longer file needs a reason, and this is where the reason stands.
LINES_ALLOWED = {"tasks": 80, "python": 300, "module": 150}
# This role's duty is the inventory itself.
ABOUT_THE_INVENTORY = ("inventory_check",)
LONGER_WITH_REASON: dict[str, str] = {}


def texts(files: list[Path]) -> list[tuple[str, str]]:
    """Names and contents of the text files of the repository."""
    found = []
    for path in files:
        if path.suffix in TEXT_SUFFIXES:
            try:
                found.append((str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")))
            except UnicodeDecodeError:
                continue
    return found


def test_no_uv_lock(files: list[Path]) -> None:
    """It would write registry addresses into the repository; requirements/*.txt carry hashes instead."""
    assert [path for path in files if path.name == "uv.lock"] == []


@pytest.mark.parametrize(
    "pattern", [REGISTRIES, MACHINE_PATHS, IGNORED_ERRORS], ids=["registries", "machine paths", "ignored errors"]
)
def test_nothing_foreign_in_the_tree(files: list[Path], pattern: re.Pattern[str]) -> None:
    found = [f"{name}: {match.group(0)}" for name, text in texts(files) for match in pattern.finditer(text)]
    assert found == []


def test_patterns_find_what_they_forbid() -> None:
    assert REGISTRIES.search("https://files.python" + "hosted.org/x")
    assert MACHINE_PATHS.search("cd /wor" + "k/main")
    assert not MACHINE_PATHS.search("/var/lib/wor" + "k/x")
    assert IGNORED_ERRORS.search("  ignore_" + "errors: true\n")


def test_locks_are_hashed(root: Path) -> None:
    for path in sorted((root / "requirements").glob("*.in")):
        lock = path.with_suffix(".txt").read_text()
        pins = re.findall(r"^[a-zA-Z0-9][\w.\[\]-]*==", lock, re.MULTILINE)
        assert len(pins) == len(re.findall(r"^[a-zA-Z0-9].*\\\n    --hash=", lock, re.MULTILINE)), (
            f"{path}: run make lock"
        )


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_a_role_says_what_it_is(role: Path) -> None:
    assert len((role / "README.md").read_text()) > 80
    specs = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]
    assert "main" in specs or not (role / "tasks/main.yml").exists()
    options = set(specs.get("main", {}).get("options") or {})
    defaults_file = role / "defaults/main.yml"
    defaults = set(yaml.safe_load(defaults_file.read_text()) or {}) if defaults_file.exists() else set()
    assert defaults <= options, f"not in meta/argument_specs.yml: {sorted(defaults - options)}"
    strangers = [name for name in defaults if not name.startswith(f"{role.name}_")]
    assert strangers == [], "a role's inputs begin with its name"


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_a_role_knows_no_groups_and_no_other_role(role: Path) -> None:
    others = [other.name for other in ROLES if other != role]
    for path in [*role.glob("tasks/**/*.yml"), *role.glob("templates/**/*.j2"), *role.glob("defaults/*.yml")]:
        text = path.read_text()
        if role.name not in ABOUT_THE_INVENTORY:
            assert not re.search(r"\bgroups\[|\bgroups\.|group_names", text), f"{path} reads inventory groups"
        for other in others:
            own = role.name.startswith(f"{other}_") or other.startswith(f"{role.name}_")
            found = None if own else re.search(rf"{{{{[^}}]*\b{other}_[a-z_]+", text)
            assert not found, f"{path} reads a variable of the role {other}: {found and found.group(0)}"


class Captured(Exception):
    """Carries what a module hands to AnsibleModule."""


def spec_of(module: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, object]]:
    """The argument spec that a module really uses, found by running its main() up to that point."""

    def capture(**arguments: object) -> None:
        raise Captured(arguments["argument_spec"])

    monkeypatch.setattr(ansible.module_utils, "__path__", [*ansible.module_utils.__path__, str(ROOT / "module_utils")])
    loader = importlib.util.spec_from_file_location(f"guarded_{module.stem}", module)
    assert loader is not None and loader.loader is not None
    loaded = importlib.util.module_from_spec(loader)
    loader.loader.exec_module(loaded)
    monkeypatch.setattr(loaded, "AnsibleModule", capture)
    with pytest.raises(Captured) as caught:
        loaded.main()
    return dict(caught.value.args[0])


def documentation_of(module: Path) -> dict[str, dict[str, object]]:
    """The options that a module's DOCUMENTATION describes."""
    for node in ast.parse(module.read_text()).body:
        if isinstance(node, ast.Assign) and any(
            getattr(target, "id", "") == "DOCUMENTATION" for target in node.targets
        ):
            return dict(yaml.safe_load(ast.literal_eval(node.value)).get("options") or {})
    raise AssertionError(f"{module.name} has no DOCUMENTATION")


def taken_by_plugin(plugin: Path) -> set[str] | None:
    """Parameters that an action plugin of the module's name takes in its stead; None where the module takes them."""
    if plugin.exists():
        for node in ast.walk(ast.parse(plugin.read_text())):
            if isinstance(node, ast.Assign) and any(getattr(name, "id", "") == "_VALID_ARGS" for name in node.targets):
                assert isinstance(node.value, ast.Call), "write _VALID_ARGS = frozenset({...})"
                return set(ast.literal_eval(node.value.args[0]))
    return None


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_a_module_documents_its_parameters(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, documented = spec_of(module, monkeypatch), documentation_of(module)
    taken = taken_by_plugin(ROOT / "action_plugins" / module.name)
    if taken is not None:
        # What the plugin takes, and what it hands on to the module.
        assert taken | set(spec) == set(documented)
        return
    assert set(spec) == set(documented)
    for name, rules in spec.items():
        said = documented[name]
        assert said.get("description"), f"{name} has no description"
        for key, otherwise in (
            ("type", "str"),
            ("required", False),
            ("choices", None),
            ("default", None),
            ("elements", None),
        ):
            assert rules.get(key, otherwise) == said.get(key, otherwise), f"{name}: {key} differs"


@pytest.mark.parametrize("path", ON_HOSTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_code_for_hosts_is_python_3_11_and_imports_itself_relatively(path: Path) -> None:
    """Debian 12 has 3.11; absolute imports of its own package work here but not in the archive that Ansible sends."""
    tree = ast.parse(path.read_text(), feature_version=(3, 11))
    package = path.relative_to(ROOT).parts[1] if path.is_relative_to(ROOT / "module_utils") else None
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        for name in names:
            assert name.split(".")[0] != package, f"{path}: write `from .{name.partition('.')[2]} import …`"
    assert sys.version_info >= (3, 11)


def kind_of(path: Path) -> str | None:
    """Which size guide a file follows."""
    relative = path.relative_to(ROOT)
    if relative.parts[0] == "roles" and "tasks" in relative.parts and path.suffix == ".yml":
        return "tasks"
    if relative.parts[0] == "library":
        return "module"
    return "python" if path.suffix == ".py" and "migrations" not in relative.parts else None


def test_sizes(files: list[Path], root: Path) -> None:
    """Prints a report (pytest -rP) and fails for a file twice as long as its guide without a reason."""
    too_long = []
    for path in files:
        kind, name = kind_of(path), str(path.relative_to(root))
        lines = len(path.read_text().splitlines()) if kind else 0
        if kind and lines > LINES_ALLOWED[kind]:
            print(f"{lines:5} lines (guide {LINES_ALLOWED[kind]}): {name}")
            if lines > 2 * LINES_ALLOWED[kind] and name not in LONGER_WITH_REASON:
                too_long.append(name)
    assert too_long == []
