"""The action plugin of pasargad_release: who deploys, and patience with somebody else's deploy."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

PLUGIN = Path(__file__).parents[3] / "action_plugins" / "pasargad_release.py"
LOCKED = {"failed": True, "msg": "sara is deploying", "pasargad": {"details": {"lock": {"deploy_id": "d1"}}}}
BROKEN = {"failed": True, "msg": "no space", "pasargad": {"details": {}}}
GOOD = {"changed": True}


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("action_pasargad_release", PLUGIN)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    return module


def act(
    plugin: ModuleType, answers: list[dict[str, Any]], **arguments: Any
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Run the plugin against a host that answers in turn; return the result and what the host was asked."""
    asked: list[dict[str, Any]] = []
    action = plugin.ActionModule.__new__(plugin.ActionModule)
    action._task = SimpleNamespace(args={"phase": "begin", **arguments}, async_val=0, environment=None)
    action._display = SimpleNamespace(display=lambda text: None)

    def execute(name: str, *, module_args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        asked.append(dict(module_args))
        return answers[min(len(asked), len(answers)) - 1]

    action._execute_module = execute
    plugin.ActionBase.run = lambda self, tmp=None, task_vars=None: {}
    return action.run(task_vars={}), asked


@pytest.fixture(autouse=True)
def keep_base_class(plugin: ModuleType) -> Any:
    original = plugin.ActionBase.run
    yield
    plugin.ActionBase.run = original


def test_the_host_learns_who_deploys_and_which_processes_live(plugin: ModuleType) -> None:
    result, asked = act(plugin, [GOOD])
    owner = asked[0]["owner"]
    assert result["changed"] and owner["pid"] == os.getppid()
    assert f"{owner['pid']}.{owner['started']}" in asked[0]["living"]


def test_a_held_fleet_is_waited_for_as_long_as_asked(plugin: ModuleType) -> None:
    result, asked = act(plugin, [LOCKED, LOCKED, GOOD], wait_seconds=5)
    assert result["changed"] and len(asked) == 3
    assert all("wait_seconds" not in each for each in asked)
    result, asked = act(plugin, [LOCKED], wait_seconds=2)
    assert result["msg"] == "sara is deploying" and len(asked) > 1


def test_without_patience_and_for_other_failures_nobody_waits(plugin: ModuleType) -> None:
    assert len(act(plugin, [LOCKED, GOOD])[1]) == 1
    assert len(act(plugin, [BROKEN, GOOD], wait_seconds=5)[1]) == 1
