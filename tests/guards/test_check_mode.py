"""Check mode passes over commands; every one that a deploy may change something with says what it would do instead."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
# Make labs, or what runs on the control node before there is a store; no deploy contains them.
NOT_DEPLOYED = {"lab_host", "lab_outside", "secrets_bootstrap"}
COMMANDS = {f"ansible.builtin.{name}" for name in ("command", "shell", "script")}


def tasks(items: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Give every task, those of blocks too."""
    for item in items or []:
        yield item
        for part in ("block", "rescue", "always"):
            yield from tasks(item.get(part, []))


def silent_commands(items: list[dict[str, Any]]) -> list[str]:
    """Return the names of commands that may report a change and that check mode would pass over."""
    return [
        task["name"]
        for task in tasks(items)
        if COMMANDS & task.keys() and task.get("changed_when") is not False and task.get("check_mode") is not False
    ]


def test_no_command_of_a_deploy_is_passed_over_by_check_mode() -> None:
    found: dict[str, list[str]] = {}
    for path in sorted([*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("roles/*/handlers/*.yml")]):
        if path.parts[-3] not in NOT_DEPLOYED:
            names = silent_commands(yaml.safe_load(path.read_text()))
            found |= {str(path.relative_to(ROOT)): names} if names else {}
    assert found == {}


def test_the_guard_sees_a_command_that_foretells_nothing() -> None:
    command: dict[str, Any] = {"name": "Do it", "ansible.builtin.command": "true", "changed_when": True}
    assert silent_commands([{"name": "Together", "block": [command]}]) == ["Do it"]
    assert silent_commands([command | {"check_mode": False}]) == []
    assert silent_commands([command | {"changed_when": False}]) == []
