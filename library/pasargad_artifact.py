#!/usr/bin/python
"""The face of the release build; the work is in module_utils/pasargad_build."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pasargad_artifact
short_description: Build the release artefact of this work tree, on the control node
description:
  - Builds code, locked packages and static files into C(.build/artifacts/<release>), named after their content.
  - Finds an artefact of the same input again in less than a second, and builds a damaged one again.
  - Never reports C(changed), and builds in check mode too; an artefact is no host's state.
options:
  repo:
    description: The root of the repository.
    type: path
    required: true
  uv:
    description: The uv program that unpacks the locked packages.
    type: path
    required: true
  python_tags:
    description: The Pythons of the hosts that will run the release.
    type: list
    elements: str
    choices: [cp311, cp313]
    default: [cp311, cp313]
author: Pasargad Prints
"""

EXAMPLES = r"""
- name: Build the release
  pasargad_artifact:
    repo: "{{ pasargad_repo_root }}"
    uv: "{{ pasargad_repo_root }}/.cache/uv/bin/uv"
  delegate_to: localhost
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
"""

RETURN = r"""
release:
  description: The id that follows from the content, twelve hexadecimal digits.
  returned: success
  type: str
path:
  description: The directory of the artefact.
  returned: success
  type: str
manifest:
  description: What RELEASE.json says.
  returned: success
  type: dict
built:
  description: Whether anything had to be built.
  returned: success
  type: bool
hint:
  description: The command that mends the failure.
  returned: failure
  type: str
log:
  description: The last lines of the program that failed.
  returned: failure
  type: list
  elements: str
"""

import sys
import traceback
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

MISSING = ""
try:
    from ansible.module_utils.pasargad_build.build import Artifact, BuildRequest, build
    from ansible.module_utils.pasargad_build.errors import BuildError
except ImportError:
    MISSING = traceback.format_exc()


def line(artifact: Artifact) -> str:
    """Say in one line what release this is and what had to be done."""
    size = sum(part["size"] for part in artifact.manifest["parts"].values()) / 1e6
    done = f"built, {size:.0f} MB" if artifact.built else "built before"
    text = f"{artifact.release} ({artifact.manifest['version']}) {done}"
    return f"{text}; {artifact.note}" if artifact.note else text


def main() -> None:
    """Build, and report."""
    tags = ["cp311", "cp313"]
    module = AnsibleModule(
        argument_spec={
            "repo": {"type": "path", "required": True},
            "uv": {"type": "path", "required": True},
            "python_tags": {"type": "list", "elements": "str", "choices": tags, "default": tags},
        },
        supports_check_mode=True,
    )
    if MISSING:
        module.fail_json(
            msg=missing_required_lib("zstandard and Brotli"),
            exception=MISSING,
            hint="make setup; then run the playbook with .venv/bin/ansible-playbook",
        )
    request = BuildRequest(
        repo=Path(module.params["repo"]),
        python=Path(sys.executable),
        uv=Path(module.params["uv"]),
        tags=tuple(sorted(set(module.params["python_tags"]))),
    )
    try:
        artifact = build(request)
    except BuildError as error:
        report = {"phase": "build", "details": {"log": error.log}}
        module.fail_json(msg=error.message, hint=error.hint, log=error.log, pasargad=report)
    module.exit_json(
        changed=False,
        release=artifact.release,
        path=str(artifact.path),
        manifest=artifact.manifest,
        built=artifact.built,
        pasargad={"phase": "build", "line": line(artifact), "details": {"release": artifact.release}},
    )


if __name__ == "__main__":
    main()
