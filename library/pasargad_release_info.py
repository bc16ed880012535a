#!/usr/bin/python
"""Tells what serves on a host, and what a deploy of a release would find there."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pasargad_release_info
short_description: Tell what serves on a host and what a release would need
description:
  - Changes nothing and takes no lock.
options:
  release:
    description: The content of RELEASE.json; with it the module tells whether it serves already and what is missing.
    type: dict
    default: {}
  env:
    description: Digest of the environment; empty means the newest one on the host.
    type: str
    default: ""
  config_file:
    description: The host's settings of releases.
    type: path
    default: /etc/pasargad/ops/release.json
author:
  - Pasargad Prints developers
"""

EXAMPLES = r"""
- name: See what serves
  pasargad_release_info:
  register: __app_release_status
"""

RETURN = r"""
status:
  description: Slots, releases, lock, history and the cost of a rollback.
  type: dict
  returned: when no release is given
screen:
  description: The same in lines for people.
  type: list
  returned: when no release is given
serving:
  description: Whether the release serves already with that environment.
  type: bool
  returned: when a release is given
missing:
  description: Parts that have to be sent first; name, file, and where it has to arrive.
  type: list
  returned: when a release is given
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pasargad_ops.config import ReleaseConfig
from ansible.module_utils.pasargad_ops.outcome import OperationError
from ansible.module_utils.pasargad_ops.release import ReleaseRequest, inspect
from ansible.module_utils.pasargad_ops.status import describe, gather


def argument_spec() -> dict[str, dict[str, object]]:
    """The module's parameters; DOCUMENTATION describes them."""
    return {
        "release": {"type": "dict", "default": {}},
        "env": {"type": "str", "default": ""},
        "config_file": {"type": "path", "default": "/etc/pasargad/ops/release.json"},
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    wanted = module.params
    try:
        if module.check_mode and not Path(wanted["config_file"]).exists():
            report = {"phase": "preflight", "line": "this host is not set up yet", "details": {}}
            module.exit_json(changed=False, pasargad=report, serving=False, missing=[], files={})
        config = ReleaseConfig.load(Path(wanted["config_file"]))
        if not wanted["release"]:
            status = gather(config)
            module.exit_json(changed=False, status=status, screen=describe(status).splitlines())
        outcome = inspect(config, ReleaseRequest("inspect", wanted["release"], env=wanted["env"]))
    except OperationError as error:
        module.fail_json(msg=error.message, hint=error.hint)
    report = {"phase": "preflight", "line": outcome.summary, "details": {}}
    module.exit_json(changed=False, pasargad=report, **outcome.details)


if __name__ == "__main__":
    main()
