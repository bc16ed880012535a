#!/usr/bin/python
"""Runs a management command of the release that serves."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pasargad_manage
short_description: Run a management command of the shop
description:
  - Runs as the shop's user with the environment of the slot that serves, in a transient unit of its own.
  - The command has to say itself, in its output, whether it changed anything.
options:
  command:
    description: The command and its arguments. Never put a secret here; use O(stdin).
    type: list
    elements: str
    required: true
  stdin:
    description: What the command reads, for example a password.
    type: str
  unchanged_when:
    description: The task is unchanged when the command's output holds this text.
    type: str
  timeout_seconds:
    description: How long the command may take.
    type: int
    default: 600
  config_file:
    description: The host's settings of releases.
    type: path
    default: /etc/pasargad/ops/release.json
author:
  - Pasargad Prints developers
"""

EXAMPLES = r"""
- name: Make the first administrator
  pasargad_manage:
    command: [ensure_admin]
    stdin: "{{ app_data_admin_password }}"
    unchanged_when: unchanged
"""

RETURN = r"""
output:
  description: The last lines the command printed.
  type: list
  returned: success
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pasargad_ops.config import ReleaseConfig
from ansible.module_utils.pasargad_ops.manage import manage
from ansible.module_utils.pasargad_ops.outcome import OperationError, Refused
from ansible.module_utils.pasargad_ops.state import load_state


def argument_spec() -> dict[str, dict[str, object]]:
    """The module's parameters; DOCUMENTATION describes them."""
    return {
        "command": {"type": "list", "elements": "str", "required": True},
        "stdin": {"type": "str", "no_log": True},
        "unchanged_when": {"type": "str"},
        "timeout_seconds": {"type": "int", "default": 600},
        "config_file": {"type": "path", "default": "/etc/pasargad/ops/release.json"},
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    wanted = module.params
    if module.check_mode:
        module.exit_json(changed=False, output=["not run in check mode"])
    try:
        config = ReleaseConfig.load(Path(wanted["config_file"]))
        state = load_state(config)
        content = state.content(state.active)
        if content is None:
            raise Refused("no release serves yet", hint="run deploy.yml")
        done = manage(
            config,
            content.release,
            content.env,
            wanted["command"],
            stdin=wanted["stdin"],
            timeout=wanted["timeout_seconds"],
        )
    except OperationError as error:
        module.fail_json(msg=error.message, hint=error.hint, pasargad={"details": error.details})
    unchanged = bool(wanted["unchanged_when"]) and wanted["unchanged_when"] in done.stdout
    module.exit_json(changed=not unchanged, output=done.stdout.splitlines()[-20:])


if __name__ == "__main__":
    main()
