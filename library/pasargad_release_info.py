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
  preflight:
    description:
      - Look at everything a deploy needs (environment, disk, memory, database, Redis, certificate, clock, schema).
      - With a release that does not serve yet, the module fails with all that is wrong at once.
    type: bool
    default: false
  controller_time:
    description: The controller's clock in seconds since 1970, to compare with the host's.
    type: float
    default: 0
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
findings:
  description: What preflight found, one line a check; C(errors) has those that stand against a deploy.
  type: list
  returned: when preflight is asked for without a release
missing:
  description: Parts that have to be sent first; name, file, and where it has to arrive.
  type: list
  returned: when a release is given
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pasargad_ops.artefact import parse_release
from ansible.module_utils.pasargad_ops.config import ReleaseConfig
from ansible.module_utils.pasargad_ops.ending import serving_words
from ansible.module_utils.pasargad_ops.outcome import OperationError
from ansible.module_utils.pasargad_ops.preflight import ERROR, WARNING, look_around, require_no_errors
from ansible.module_utils.pasargad_ops.release import ReleaseRequest, inspect
from ansible.module_utils.pasargad_ops.status import describe, gather


def argument_spec() -> dict[str, dict[str, object]]:
    """The module's parameters; DOCUMENTATION describes them."""
    return {
        "release": {"type": "dict", "default": {}},
        "env": {"type": "str", "default": ""},
        "preflight": {"type": "bool", "default": False},
        "controller_time": {"type": "float", "default": 0.0},
        "config_file": {"type": "path", "default": "/etc/pasargad/ops/release.json"},
    }


def about(config: ReleaseConfig, wanted: dict[str, Any]) -> dict[str, Any]:
    """Return what serves, or with `preflight` how fit the host is."""
    if wanted["preflight"]:
        findings = look_around(config, env=wanted["env"], controller_time=wanted["controller_time"])
        bad = [finding.line() for finding in findings if finding.level == ERROR]
        return {"findings": [finding.line() for finding in findings], "errors": bad}
    status = gather(config)
    return {"status": status, "screen": describe(status).splitlines()}


def for_release(config: ReleaseConfig, wanted: dict[str, Any]) -> dict[str, Any]:
    """Return what a deploy of the release would find; raises with all that stands against it."""
    outcome = inspect(config, ReleaseRequest("inspect", wanted["release"], env=wanted["env"]))
    line, warnings = outcome.summary, []
    if wanted["preflight"] and not outcome.details["serving"]:
        release = parse_release(wanted["release"])
        clock = wanted["controller_time"]
        findings = look_around(config, env=wanted["env"], release=release, controller_time=clock)
        require_no_errors(findings)
        warnings = [finding.line() for finding in findings if finding.level == WARNING]
        line = f"{len(findings)} checks, {len(warnings)} warnings; {line}"
    report = {"phase": "preflight", "line": line, "details": {"warnings": warnings}}
    return {"pasargad": report, **outcome.details}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    wanted, traffic = module.params, ""
    try:
        if module.check_mode and not Path(wanted["config_file"]).exists():
            report = {"phase": "preflight", "line": "this host is not set up yet", "details": {}}
            module.exit_json(changed=False, pasargad=report, serving=False, missing=[], files={})
        config = ReleaseConfig.load(Path(wanted["config_file"]))
        traffic = serving_words(config)
        module.exit_json(changed=False, **(for_release(config, wanted) if wanted["release"] else about(config, wanted)))
    except OperationError as error:
        report = {"phase": "preflight", "line": error.message, "details": {"traffic": traffic}}
        module.fail_json(msg=error.message, hint=error.hint, pasargad=report)


if __name__ == "__main__":
    main()
