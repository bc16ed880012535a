#!/usr/bin/python
"""Runs one phase of a deploy, or a rollback, on a host."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pasargad_release
short_description: Run one phase of a blue-green deploy on a host
description:
  - Each phase is journaled, can be repeated, and leaves the release that serves untouched when it dies.
  - How patient the phases are stands in the host's own C(/etc/pasargad/ops/release.json).
  - On the control node an action plugin adds who deploys, so that a lease whose owner is dead can be told.
options:
  phase:
    description:
      - The phase to run, in the order of a deploy; V(rollback) and V(abort) stand apart.
      - A fleet runs V(agree) and V(confirm), each on every host before the next; V(finish) of a single host confirms.
    type: str
    required: true
    choices: [begin, stage, expand, start, switch, verify, agree, confirm, finish, abort, rollback]
  release:
    description: The content of RELEASE.json. Every phase but V(rollback) needs it.
    type: dict
    default: {}
  deploy_id:
    description: The deploy's id, as V(begin) returned it on the first host.
    type: str
    default: ""
  env:
    description: Digest of the environment to run with; empty means the newest one on the host.
    type: str
    default: ""
  fencing:
    description: The number that V(begin) returned on the first host, for the other hosts.
    type: int
  allow_contract:
    description: Apply migrations although the release that serves would not survive them.
    type: bool
    default: false
  force:
    description: Deploy a release that was put back before, and start a slot again that is ready.
    type: bool
    default: false
  leave:
    description: With V(rollback) on the other hosts of a fleet, the release that the first host left.
    type: str
    default: ""
  wait_seconds:
    description: How long to wait while somebody else deploys; the action plugin waits.
    type: int
    default: 0
  owner:
    description: The process that deploys; the action plugin fills it in.
    type: dict
    default: {}
  living:
    description: Processes of the controller as C(pid.started); the action plugin fills it in.
    type: list
    elements: str
    default: []
  config_file:
    description: The host's settings of releases.
    type: path
    default: /etc/pasargad/ops/release.json
author:
  - Pasargad Prints developers
"""

EXAMPLES = r"""
- name: Give traffic to the prepared slot
  pasargad_release:
    phase: switch
    release: "{{ app_build_artifact.manifest }}"
    deploy_id: "{{ __app_release_deploy_id }}"
"""

RETURN = r"""
pasargad:
  description: What the operator's screen shows; phase, line, and details with numbers.
  type: dict
  returned: always
deploy_id:
  description: The deploy's id.
  type: str
  returned: when phase is begin or rollback
fencing:
  description: The deploy's fencing number.
  type: int
  returned: when phase is begin or rollback
left:
  description: The release that the rollback left.
  type: str
  returned: when phase is rollback
"""

import dataclasses
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pasargad_ops.config import ReleaseConfig
from ansible.module_utils.pasargad_ops.lease import Owner
from ansible.module_utils.pasargad_ops.outcome import OperationError, Outcome
from ansible.module_utils.pasargad_ops.release import ReleaseRequest, run_phase
from ansible.module_utils.pasargad_ops.rollback import RollbackRequest, roll_back

PHASES = ["begin", "stage", "expand", "start", "switch", "verify", "agree", "confirm", "finish", "abort", "rollback"]


def argument_spec() -> dict[str, dict[str, object]]:
    """The module's parameters; DOCUMENTATION describes them."""
    return {
        "phase": {"type": "str", "required": True, "choices": PHASES},
        "release": {"type": "dict", "default": {}},
        "deploy_id": {"type": "str", "default": ""},
        "env": {"type": "str", "default": ""},
        "fencing": {"type": "int"},
        "allow_contract": {"type": "bool", "default": False},
        "force": {"type": "bool", "default": False},
        "leave": {"type": "str", "default": ""},
        "wait_seconds": {"type": "int", "default": 0},
        "owner": {"type": "dict", "default": {}},
        "living": {"type": "list", "elements": "str", "default": []},
        "config_file": {"type": "path", "default": "/etc/pasargad/ops/release.json"},
    }


def run(wanted: dict[str, Any], *, dry_run: bool) -> Outcome:
    """Run the phase that is asked for."""
    config_file = Path(wanted.pop("config_file"))
    if dry_run and not config_file.exists():
        return Outcome(True, f"would {wanted['phase']} on a host that is not set up yet")
    config = ReleaseConfig.load(config_file)
    wanted["living"] = tuple(wanted["living"])
    if wanted["phase"] == "rollback":
        names = ("living", "deploy_id", "fencing", "leave")
        request = RollbackRequest(Owner(**wanted["owner"]), **{name: wanted[name] for name in names})
        return roll_back(config, request, dry_run=dry_run)
    names = tuple(field.name for field in dataclasses.fields(ReleaseRequest))
    return run_phase(config, ReleaseRequest(**{name: wanted[name] for name in names}), dry_run=dry_run)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    phase = module.params["phase"]
    try:
        outcome = run(dict(module.params), dry_run=module.check_mode)
    except OperationError as error:
        report = {"phase": phase, "line": error.message, "details": error.details}
        module.fail_json(msg=error.message, hint=error.hint, pasargad=report)
    report = {"phase": phase, "line": outcome.summary, "details": outcome.details}
    returned = {key: outcome.details[key] for key in ("deploy_id", "fencing", "left") if key in outcome.details}
    module.exit_json(changed=outcome.changed, pasargad=report, **returned)


if __name__ == "__main__":
    main()
