"""The settings that production reads, the rendered environment and the role's inputs are one list."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ROLE = ROOT / "roles/app_env"
TYPES = {"integer": "int", "number": "float", "boolean": "bool", "list": "list"}
# Inputs of the role that decide where and how it writes; no setting of the shop.
OF_THE_ROLE = {"DIRECTORY", "TEMPLATE", "MIGRATOR_HOST", "MIGRATOR_PORT", "MIGRATOR_USER", "MIGRATOR_PASSWORD"}
# Django itself reads it; the settings module only checks that it names one.
READ_BY_DJANGO = {"DJANGO_SETTINGS_MODULE"}


def in_app(code: str, stdin: str = "") -> Any:
    """Run code beside the shop's own, with an environment of its own, and return the JSON it prints."""
    ran = subprocess.run(
        [sys.executable, "-B", "-c", code],
        cwd=ROOT / "app",
        env={},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.fixture(scope="module")
def declared() -> dict[str, dict[str, Any]]:
    """What was recorded while the production settings were imported, without what the process manager provides."""
    rows = in_app("import sys; from config import env; sys.exit(env.main())")
    return {row["name"]: row for row in rows if row["provided_by"] == "file"}


@pytest.fixture(scope="module")
def options() -> dict[str, dict[str, Any]]:
    """The role's argument spec by setting."""
    spec = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    return {name.removeprefix("app_env_").upper(): option for name, option in spec.items()}


@pytest.fixture(scope="module")
def defaults() -> dict[str, Any]:
    """The role's defaults by setting, as they are written."""
    text = (ROLE / "defaults/main.yml").read_text()
    return {name.removeprefix("app_env_").upper(): value for name, value in yaml.safe_load(text).items()}


def template_lines() -> list[tuple[str, str]]:
    """Each setting of the template with the variable that it takes."""
    text = (ROOT / "templates/env/production.env.j2").read_text()
    return re.findall(r"(?m)^([A-Z][A-Z0-9_]*)=\{\{ (\w+) \| env_quote \}\}$", text)


def test_the_template_holds_nothing_but_comments_and_quoted_settings() -> None:
    lines = (ROOT / "templates/env/production.env.j2").read_text().splitlines()
    assert len(template_lines()) == len([line for line in lines if line and not line.startswith("#")])


def test_production_settings_the_rendered_file_and_the_argument_spec_have_the_same_names(
    declared: dict[str, Any], options: dict[str, Any], defaults: dict[str, Any]
) -> None:
    rendered = [name for name, _ in template_lines()]
    assert len(rendered) == len(set(rendered)) > 100
    assert set(rendered) == set(declared)
    assert set(options) - OF_THE_ROLE == set(declared)
    assert set(defaults) - OF_THE_ROLE == set(declared)
    assert set(options) > OF_THE_ROLE


def test_each_line_of_the_template_takes_the_variable_of_its_name() -> None:
    assert [name for name, variable in template_lines() if variable != f"app_env_{name.lower()}"] == []


def test_types_and_choices_of_the_argument_spec_are_those_of_the_loader(
    declared: dict[str, Any], options: dict[str, Any]
) -> None:
    wrong_types = {name for name, row in declared.items() if options[name]["type"] != TYPES.get(row["type"], "str")}
    wrong_choices = {name for name, row in declared.items() if options[name].get("choices", []) != row["choices"]}
    assert (wrong_types, wrong_choices) == (set(), set())


def test_every_secret_of_the_loader_is_hidden_in_logs_and_diffs(
    declared: dict[str, Any], options: dict[str, Any]
) -> None:
    assert {name for name, row in declared.items() if row["secret"] and not options[name].get("no_log")} == set()


def test_whatever_comes_from_the_vault_is_hidden_in_logs_and_diffs(
    options: dict[str, Any], defaults: dict[str, Any]
) -> None:
    secrets = yaml.safe_load((ROOT / "group_vars/all/secrets.yml").read_text())
    from_vault = {
        name for name, value in defaults.items() if set(re.findall(r"\bpasargad_\w+", str(value))) & set(secrets)
    }
    assert len(from_vault) > 5
    assert {name for name in from_vault if not options[name].get("no_log")} == set()


def test_documented_defaults_are_the_defaults(options: dict[str, Any], defaults: dict[str, Any]) -> None:
    differing = {
        name
        for name in set(options) - OF_THE_ROLE
        if str(options[name]["default"]).strip() != str(defaults[name]).strip()
    }
    assert differing == set()


def test_the_reference_page_is_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "bin/environment-reference"), "--check"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


# Reads the settings once for each change, in one process: {name: whether its change shows}, given the names' rows.
MUTATIONS = r"""
import dataclasses, importlib, json, os, sys
from config.settings.workbench import WORKBENCH

# Neither of a pair may be set alone.
PAIRS = {f"{name}_CLIENT_{part}": "set" for name in ("GOOGLE", "FACEBOOK", "GITHUB") for part in ("ID", "SECRET")}

def fingerprint(changes):
    os.environ.clear()
    os.environ.update({**WORKBENCH, **PAIRS, **changes})
    for name in [name for name in sys.modules if name == "config.env" or name.startswith("config.")]:
        if name != "config.settings.workbench":
            del sys.modules[name]
    settings = importlib.import_module("config.settings.from_environment")
    env = sys.modules["config.env"].env
    shown = {name: repr(value) for name, value in vars(settings).items() if name.isupper()}
    return shown, env.problems

def candidates(row, value):
    if row["choices"]:
        return [choice for choice in row["choices"] if choice != value]
    if row["type"] == "boolean":
        return ["false" if value == "true" else "true"]
    if row["type"] == "integer":
        return [str(int(value) + 1), str(int(value) - 1)]
    return {
        "number": ["0.5", "0.25"],
        "rate": ["7/hour"],
        "email": ["changed@shop.example"],
        "url": ["https://changed.example/x", "redis://changed.example/7"],
        "list": [f"{value},changed", "https://changed.example", "DE", "whsec_changed", "changed"],
        "text": [f"{value}x", f"{value}X", "eur", "DE", "changed", "config.settings.changed"],
    }[row["type"]]

def shows(row):
    for candidate in candidates(row, WORKBENCH[row["name"]]):
        shown, problems = fingerprint({row["name"]: candidate})
        if row["type"] == "boolean" or row["name"] not in problems:
            return shown != before
    return None

before, problems = fingerprint({})
assert not problems, problems
print(json.dumps({row["name"]: shows(row) for row in json.load(sys.stdin)}))
"""


def test_every_setting_that_is_changed_changes_the_settings_of_the_shop(declared: dict[str, Any]) -> None:
    effects = in_app(MUTATIONS, stdin=json.dumps(list(declared.values())))
    assert {name for name, effect in effects.items() if effect is None} == set(), "no valid other value was found"
    assert {name for name, effect in effects.items() if not effect} == READ_BY_DJANGO
