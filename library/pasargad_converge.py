#!/usr/bin/python
"""Keeps on a host the record of what provisioned it; action_plugins/pasargad_converge.py does the comparing."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pasargad_converge
short_description: Compare what provisions a host with what provisioned it
description:
  - C(compared) takes the fingerprint of the repository's files and of the host's resolved values, secrets included.
    It compares this with the record on the host, and tells with C(needed) whether provisioning has anything to do.
  - C(recorded) writes the fingerprint of an earlier comparison down, after everything was applied.
  - The comparison is also the fact C(pasargad_provisioning).
  - The facts C(distribution), C(distribution_major_version) and C(distribution_release) come along, and so does
    C(pasargad_digests), the SHA-1 of each of I(digests) that is there. A question less for the roles that follow.
options:
  state:
    description: What to do; C(read) and C(begun) are what the action plugin asks of the host.
    type: str
    choices: [compared, read, begun, recorded]
    default: compared
  path:
    description: The record on the host.
    type: path
    required: true
  root:
    description: The root of the repository; with C(compared).
    type: path
  mode:
    description: C(full) finds provisioning needed in any case.
    type: str
    choices: [auto, full]
    default: auto
  ignored:
    description: Sources that do not provision hosts, for example C(roles/lab_host).
    type: list
    elements: str
    default: []
  comparison:
    description: The result of C(compared); with C(recorded).
    type: dict
  digests:
    description: Other files on the host of which later roles want to know whether they changed; with C(compared).
    type: list
    elements: path
    default: []
  fingerprint:
    description: What to record; set by the action plugin.
    type: str
  sources:
    description: What to record by source; set by the action plugin.
    type: dict
author: Pasargad Prints
"""

EXAMPLES = r"""
- name: Compare what provisions the host with what provisioned it
  pasargad_converge:
    root: "{{ pasargad_repo_root }}"
    path: /var/lib/pasargad/converge.json

- name: Write down what was applied
  pasargad_converge:
    state: recorded
    path: /var/lib/pasargad/converge.json
    comparison: "{{ ansible_facts.pasargad_provisioning }}"
"""

RETURN = r"""
needed:
  description: Whether provisioning has anything to do.
  returned: with compared
  type: bool
fingerprint:
  description: The digest of all sources.
  returned: with compared
  type: str
"""

import datetime
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

OS_RELEASE = Path("/etc/os-release")


def read_record(path: Path) -> dict[str, Any] | None:
    """Return the record; a damaged one counts as none, for provisioning again mends everything."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and "fingerprint" in record else None


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Put the record in place by rename, for root alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(record, file, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def digests(paths: list[str]) -> dict[str, str]:
    """Return the SHA-1 of each file that is there, as Ansible's own hash filter counts it."""
    files = [path for path in map(Path, paths) if path.is_file()]
    return {str(path): hashlib.sha1(path.read_bytes()).hexdigest() for path in files}  # noqa: S324 - no secret


def facts() -> dict[str, str]:
    """Return what the operating system is, under the names that Ansible's own facts have."""
    lines = OS_RELEASE.read_text(encoding="utf-8").splitlines()
    values = dict(line.replace('"', "").split("=", 1) for line in lines if "=" in line)
    return {
        "distribution": values.get("ID", "").capitalize(),
        "distribution_major_version": values.get("VERSION_ID", "").partition(".")[0],
        "distribution_release": values.get("VERSION_CODENAME", ""),
    }


def main() -> None:
    """Read or write the record."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["read", "begun", "recorded"], "required": True},
            "path": {"type": "path", "required": True},
            "fingerprint": {"type": "str"},
            "sources": {"type": "dict"},
            "digests": {"type": "list", "elements": "path", "default": []},
        },
        required_if=[("state", "recorded", ["fingerprint", "sources"])],
        supports_check_mode=True,
    )
    path = Path(module.params["path"])
    record = read_record(path)
    if module.params["state"] == "read":
        known = {**facts(), "pasargad_digests": digests(module.params["digests"])}
        module.exit_json(changed=False, recorded=record, ansible_facts=known)
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    if module.params["state"] == "begun":
        if record is not None and not module.check_mode:
            write_record(path, {**record, "begun": now})
        module.exit_json(changed=False)
    wanted = {key: module.params[key] for key in ("fingerprint", "sources")}
    changed = record is None or {key: record.get(key) for key in wanted} != wanted
    if (changed or "begun" in (record or {})) and not module.check_mode:
        write_record(path, {**wanted, "at": now})
    module.exit_json(changed=changed)


if __name__ == "__main__":
    main()
