#!/usr/bin/python
"""Backs up the store's database, proves the backups, and restores them."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pasargad_backup
short_description: Back up the store's database, prove the backups, restore them
description:
  - Runs an operation that the timers and the command C(pasargad-ops backup) run, too, with the settings of the host.
  - In check mode an operation only says what it would do.
options:
  operation:
    description: What to do.
    type: str
    required: true
    choices:
      - prepare
      - clusters
      - status
      - sets
      - logical
      - physical
      - verify
      - drill
      - restore
      - uploads
      - retain
      - rescue
      - notify
  kind:
    description: Of a set V(auto), V(full), V(diff) or V(incr); of a drill V(physical), V(logical) or V(canary).
    type: str
    default: ""
  slot:
    description: The piece of work of a backup; today's date when empty.
    type: str
    default: ""
  level:
    description: How deep a verification goes.
    type: int
    choices: [0, 1, 2]
    default: 1
  share:
    description: The part of the logical sets that a verification reads, for example V(3/7); all when empty.
    type: str
    default: ""
  to:
    description: To what a restore goes.
    type: str
    choices: [latest, time, set]
    default: latest
  at:
    description: A point in time with its time zone, for a restore, a drill or a rescue.
    type: str
    default: ""
  seq:
    description: The number of a set.
    type: int
    default: 0
  database:
    description: The new database into which a logical set is restored, beside the store's.
    type: str
    default: ""
  system_id:
    description: The cluster whose sets are restored, on a host that was made anew.
    type: str
    default: ""
  confirm:
    description: The word that the plan of a restore names; without it a restore is only planned.
    type: str
    default: ""
  apply:
    description: Whether a rescue is carried out; without it it is only planned.
    type: bool
    default: false
  force:
    description: Whether retention may take away an unusual amount.
    type: bool
    default: false
  identity:
    description: The key (age) that opens logical sets. It is kept in memory only.
    type: str
  config_file:
    description: The host's settings of the backups.
    type: path
    default: /etc/pasargad/backup/backup.json
author:
  - Pasargad Prints developers
"""

EXAMPLES = r"""
- name: Make a logical set now
  pasargad_backup:
    operation: logical
    slot: before-the-move

- name: See what a restore to yesterday noon would do
  pasargad_backup:
    operation: restore
    to: time
    at: "2026-11-27T12:00:00+00:00"
"""

RETURN = r"""
summary:
  description: One line on what was done.
  type: str
  returned: success
lines:
  description: What people want to know about it.
  type: list
  returned: success
code:
  description: How it ended, as the command's exit code.
  type: int
  returned: always
backup:
  description: The details, for programs.
  type: dict
  returned: always
"""

import os
from argparse import Namespace
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pasargad_ops.backup import cli
from ansible.module_utils.pasargad_ops.backup.context import open_context
from ansible.module_utils.pasargad_ops.backup.errors import BackupError, Code
from ansible.module_utils.pasargad_ops.outcome import OperationError


def argument_spec() -> dict[str, dict[str, object]]:
    """The module's parameters; DOCUMENTATION describes them."""
    text: dict[str, object] = {"type": "str", "default": ""}
    operations = [
        "prepare",
        "clusters",
        "status",
        "sets",
        "logical",
        "physical",
        "verify",
        "drill",
        "restore",
        "uploads",
        "retain",
        "rescue",
        "notify",
    ]
    return {
        "operation": {"type": "str", "required": True, "choices": operations},
        **{name: dict(text) for name in ("kind", "slot", "share", "at", "database", "system_id", "confirm")},
        "level": {"type": "int", "choices": [0, 1, 2], "default": 1},
        "to": {"type": "str", "choices": ["latest", "time", "set"], "default": "latest"},
        "seq": {"type": "int", "default": 0},
        "apply": {"type": "bool", "default": False},
        "force": {"type": "bool", "default": False},
        "identity": {"type": "str", "no_log": True},
        "config_file": {"type": "path", "default": "/etc/pasargad/backup/backup.json"},
    }


def words(wanted: dict[str, Any], *, dry_run: bool) -> list[str]:
    """Return the command line that means the same, so that module and command cannot differ."""
    operation = wanted["operation"]
    options = {
        "logical": ["slot"],
        "physical": ["kind", "slot"],
        "verify": ["level", "share"],
        "drill": ["at", "seq"],
        "uploads": ["seq"],
        "restore": ["at", "seq", "database", "system_id", "confirm"],
        "rescue": ["at"],
    }.get(operation, [])
    line = ["--config", wanted["config_file"], *(["--dry-run"] if dry_run else []), operation]
    line += [wanted["kind"] or "physical"] if operation == "drill" else []
    line += [wanted["to"]] if operation == "restore" else []
    line += [f"--{name.replace('_', '-')}={wanted[name]}" for name in options if wanted[name] not in ("", None)]
    line += ["--apply"] if operation == "rescue" and wanted["apply"] else []
    return line + (["--force"] if operation == "retain" and wanted["force"] else [])


def in_memory(secret: str) -> Path:
    """Return a file that is on no disk and ends with this process."""
    descriptor = os.memfd_create("identity")
    os.write(descriptor, f"{secret.strip()}\n".encode())
    return Path(f"/proc/{os.getpid()}/fd/{descriptor}")


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    try:
        options: Namespace = cli.parser().parse_args(words(module.params, dry_run=module.check_mode))
    except SystemExit:
        module.fail_json(
            msg=f"these parameters do not fit {module.params['operation']}", code=int(Code.CONFIG), backup={}
        )
    if module.params["identity"] and hasattr(options, "identity"):
        options.identity = in_memory(module.params["identity"])
    try:
        outcome = options.act(open_context(options.config), options)
    except OperationError as error:
        code = error.code if isinstance(error, BackupError) else Code.BROKEN
        module.fail_json(msg=error.message, hint=error.hint, code=int(code), backup=error.details)
    lines = list(outcome.details.get("lines", []))
    code = int(outcome.details.get("code", 0))
    module.exit_json(changed=outcome.changed, summary=outcome.summary, lines=lines, code=code, backup=outcome.details)


if __name__ == "__main__":
    main()
