#!/usr/bin/python3
"""Ansible module: real Debian hosts on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pasargad_lab_host
short_description: Make or remove real Debian hosts on the control node
description:
  - Boots Debian hosts with systemd-nspawn on the machine the task runs on, which must be the control node, as root.
  - Hosts that exist and run are left as they are.
options:
  lab:
    description: Lab number, 0 to 250. Network, bridge and machine names follow from it.
    type: int
    required: true
  hosts:
    description: Names of the hosts; the lab knows which address each has.
    type: list
    elements: str
    required: true
  state:
    description: C(present) makes and starts the hosts, C(absent) removes them with their disks.
    type: str
    choices: [present, absent]
    default: present
  release:
    description: Debian release of new hosts.
    type: str
    choices: [bookworm, trixie]
  layer:
    description: Saved layer that new hosts start from.
    type: str
author:
  - Pasargad Prints
"""

EXAMPLES = r"""
- name: Make the demo's hosts
  pasargad_lab_host:
    lab: 0
    hosts: [store1, outside]
"""

RETURN = r"""
addresses:
  description: Address of each host.
  type: dict
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pasargad_lab.errors import LabError
from ansible.module_utils.pasargad_lab.lab import Lab


def argument_spec() -> dict[str, dict[str, object]]:
    """The module's parameters; DOCUMENTATION describes them."""
    return {
        "lab": {"type": "int", "required": True},
        "hosts": {"type": "list", "elements": "str", "required": True},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "release": {"type": "str", "choices": ["bookworm", "trixie"]},
        "layer": {"type": "str"},
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    wanted = module.params
    lab = Lab(wanted["lab"], say=module.log)
    try:
        addresses = {name: lab.host(name).address for name in wanted["hosts"]}
        if module.check_mode:
            changed = lab.would_change(wanted["hosts"], present=wanted["state"] == "present")
        elif wanted["state"] == "present":
            changed = lab.up(wanted["hosts"], release=wanted["release"], layer=wanted["layer"])
        else:
            changed = lab.down(wanted["hosts"])
    except LabError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed, addresses=addresses)


if __name__ == "__main__":
    main()
