#!/usr/bin/python
"""Keeps the shop's environment on a host."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pasargad_env_file
short_description: Keep the shop's environment in a file named after its digest
description:
  - Writes O(content) to O(directory) as C(<digest>.env) with mode 0600 and points the link C(current) at it.
  - A file that exists never changes, so a slot that was started with it can be started again with the same settings.
  - The diff shows names and plain values; the value of a secret never leaves the host, it only shows as changed.
options:
  directory:
    description: The directory of environment files. It is made with mode 0700.
    type: path
    required: true
  content:
    description: Lines of the form C(NAME="value"), quoted by the filter C(env_quote).
    type: str
    required: true
  overrides:
    description: Further files of the same directory by name, replaced when their content differs.
    type: dict
    default: {}
  secret_names:
    description: The settings whose values the diff must not show.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Predicts the result and changes nothing.
    support: full
  diff_mode:
    description: Shows what differs, with secrets masked.
    support: full
author:
  - Pasargad Prints maintainers
"""

EXAMPLES = r"""
- name: Keep the environment
  pasargad_env_file:
    directory: /etc/pasargad/env
    content: "{{ lookup('ansible.builtin.template', pasargad_repo_root ~ '/templates/env/production.env.j2') }}"
    secret_names: [SECRET_KEY]
"""

RETURN = r"""
digest:
  description: The first twelve hexadecimal digits of the content's SHA-256.
  returned: always
  type: str
path:
  description: The file.
  returned: always
  type: str
names_changed:
  description: The settings that are new, gone or different from those that C(current) named before.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pasargad_ops.env_file import EnvFileError, EnvFileRequest, write_environment


def main() -> None:
    """Runs the operation for Ansible."""
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "content": {"type": "str", "required": True, "no_log": True},
            "overrides": {"type": "dict", "default": {}, "no_log": True},
            "secret_names": {"type": "list", "elements": "str", "default": [], "no_log": False},
        },
        supports_check_mode=True,
    )
    request = EnvFileRequest(
        directory=module.params["directory"],
        content=module.params["content"],
        overrides=module.params["overrides"],
        secret_names=tuple(module.params["secret_names"]),
    )
    try:
        outcome = write_environment(request, dry_run=module.check_mode)
    except EnvFileError as error:
        module.fail_json(msg=str(error), hint=error.hint)
    details = dict(outcome.details)
    diff = {side: details.pop(side) for side in ("before", "after")}
    headers = {"before_header": f"{request.directory}/current", "after_header": details["path"]}
    module.exit_json(
        changed=outcome.changed,
        msg=outcome.summary,
        diff={**diff, **headers},
        pasargad={"phase": "environment", "line": outcome.summary, "details": {"digest": details["digest"]}},
        **details,
    )


if __name__ == "__main__":
    main()
