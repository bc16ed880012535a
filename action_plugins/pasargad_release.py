"""Adds to a release phase who deploys from where, so that the hosts can tell a dead deploy from a living one."""

from __future__ import annotations

import getpass
import os
import socket
import time
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

POLL_SECONDS = 2.0


class ActionModule(ActionBase):
    """Runs the module of the same name with `owner` and `living_pids`; waits for a held lease as long as it may."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        variables = task_vars or {}
        arguments = dict(self._task.args)
        wait_seconds = float(arguments.pop("wait_seconds", 0) or 0)
        deadline = time.monotonic() + wait_seconds
        while True:
            arguments |= {"owner": owner(), "living_pids": living_playbooks()}
            answer = self._execute_module("pasargad_release", module_args=arguments, task_vars=variables)
            details = (answer.get("pasargad") or {}).get("details") or {}
            if not (answer.get("failed") and "lock" in details) or time.monotonic() >= deadline:
                return {**result, **answer}
            self._display.display(f"      waiting: {answer.get('msg')}")
            time.sleep(POLL_SECONDS)


def owner() -> dict[str, object]:
    """Say who deploys: the task runs in a worker, whose parent is the playbook itself."""
    return {
        "name": os.environ.get("SUDO_USER") or getpass.getuser(),
        "controller": socket.gethostname(),
        "boot_id": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "pid": os.getppid(),
    }


def living_playbooks() -> list[int]:
    """Return the processes of this machine that run Ansible."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            stat = (entry / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        # A zombie has no command line, but the name may linger in a dying one.
        if stat[0] != "Z" and any(b"ansible" in word for word in words[:3]):
            found.append(int(entry.name))
    return found
