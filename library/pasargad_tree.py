#!/usr/bin/python
"""Makes a directory hold exactly the given files."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pasargad_tree
short_description: Make a directory hold exactly the given files
description:
  - Writes the files that differ and removes those that are not named, in one call for the whole directory.
options:
  directory:
    description: The directory; it is made when missing.
    type: path
    required: true
  files:
    description: Text by file name; names have no slash.
    type: dict
    required: true
  mode:
    description: Mode of the files.
    type: str
    default: "0644"
  pattern:
    description: Only files whose names fit it are removed when they are not named; what is named has to fit it.
    type: str
    default: "*"
author:
  - Pasargad Prints developers
"""

EXAMPLES = r"""
- name: Put the operations on the host
  pasargad_tree:
    directory: /usr/local/lib/pasargad/pasargad_ops
    files: "{{ dict(__ops_tools_names | zip(__ops_tools_texts)) }}"
"""

RETURN = r"""
written:
  description: Names of the files that were written.
  type: list
  returned: always
removed:
  description: Names of the files that were removed.
  type: list
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pasargad_ops.outcome import OperationError
from ansible.module_utils.pasargad_ops.tree import TreeRequest, keep_tree


def argument_spec() -> dict[str, dict[str, object]]:
    """The module's parameters; DOCUMENTATION describes them."""
    return {
        "directory": {"type": "path", "required": True},
        "files": {"type": "dict", "required": True},
        "mode": {"type": "str", "default": "0644"},
        "pattern": {"type": "str", "default": "*"},
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    try:
        request = TreeRequest(**{**module.params, "mode": int(module.params["mode"], 8)})
        outcome = keep_tree(request, dry_run=module.check_mode)
    except OperationError as error:
        module.fail_json(msg=error.message, hint=error.hint)
    names = "".join(f"{name}\n" for name in [*outcome.details["written"], *outcome.details["removed"]])
    diff = {"before": "", "after": names} if outcome.changed else {}
    module.exit_json(changed=outcome.changed, diff=diff, **outcome.details)


if __name__ == "__main__":
    main()
