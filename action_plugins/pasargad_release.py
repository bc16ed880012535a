"""Adds to a release phase who deploys from where, so that the hosts can tell a dead deploy from a living one."""

from __future__ import annotations

import dataclasses
import getpass
import os
import sys
import time
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

# Ansible loads an action plugin by its file, not as part of a package.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "module_utils"))

from pasargad_ops.lease import living_processes, owner_process

POLL_SECONDS = 2.0


class ActionModule(ActionBase):
    """Runs the module of the same name with `owner` and `living`; waits for a held lease as long as it may."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        variables = task_vars or {}
        arguments = dict(self._task.args)
        wait_seconds = float(arguments.pop("wait_seconds", 0) or 0)
        deadline = time.monotonic() + wait_seconds
        while True:
            arguments |= {"owner": owner(), "living": living()}
            answer = self._execute_module("pasargad_release", module_args=arguments, task_vars=variables)
            details = (answer.get("pasargad") or {}).get("details") or {}
            if not (answer.get("failed") and "lock" in details) or time.monotonic() >= deadline:
                return {**result, **answer}
            self._display.display(f"      waiting: {answer.get('msg')}")
            time.sleep(POLL_SECONDS)


def owner() -> dict[str, object]:
    """Say who deploys: the task runs in a worker, whose parent is the playbook itself."""
    name = os.environ.get("SUDO_USER") or getpass.getuser()
    return dataclasses.asdict(owner_process(name, os.getppid()))


def living() -> list[str]:
    """Return the processes of this machine, so that a host can tell whether the owner of a lease is among them."""
    return list(living_processes())
