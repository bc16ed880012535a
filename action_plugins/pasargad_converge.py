"""Compares what provisions a host with what provisioned it; library/pasargad_converge.py keeps the record there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

# Ansible loads an action plugin by its file, not as part of a package.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "module_utils"))

from pasargad_converge.fingerprint import contents_by_source, difference, files_by_source, fingerprint, values_by_source
from pasargad_output.masking import is_secret_name

# These decide whether and what to release, not how a host is provisioned.
NOT_PROVISIONING = ("pasargad_converge", "pasargad_rotate", "app_release_", "app_build_", "converge_")
# What decides which plays and roles a host gets, and how it is reached.
IDENTITY = ("inventory_hostname", "group_names", "ansible_host")


class ActionModule(ActionBase):
    """Runs on the control node, for it needs the files and the resolved values; asks the host once."""

    _requires_connection = True
    _supports_check_mode = True
    _supports_async = False
    _VALID_ARGS = frozenset({"state", "root", "path", "mode", "ignored", "comparison", "digests"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        variables = task_vars or {}
        args = self._task.args
        if args.get("state", "compared") == "recorded":
            comparison = args["comparison"]
            module_args = {key: comparison[key] for key in ("fingerprint", "sources")}
            return {**result, **self._ask({**module_args, "state": "recorded", "path": args["path"]}, variables)}
        sources = self._sources(Path(args["root"]), args.get("ignored") or [], variables)
        question = {"state": "read", "path": args["path"], "digests": args.get("digests") or []}
        answer = self._ask(question, variables)
        if answer.get("failed") or answer.get("unreachable"):
            return {**result, **answer}
        compared = self._compare(sources, answer, full=args.get("mode") == "full")
        if compared["needed"]:
            # Whatever ends this run half-way, the next one must not take the host for what the old record says.
            begun = self._ask({"state": "begun", "path": args["path"]}, variables)
            if begun.get("failed") or begun.get("unreachable"):
                return {**result, **begun}
        return {**result, **answer, **compared}

    def _ask(self, module_args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        answer = self._execute_module("pasargad_converge", module_args=module_args, task_vars=task_vars)
        return dict(answer)

    def _sources(self, root: Path, ignored: list[str], task_vars: dict[str, Any]) -> dict[str, str]:
        files = files_by_source(root, ignored)
        prefixes = ("pasargad_", "vault_", *(f"{path.name}_" for path in (root / "roles").iterdir() if path.is_dir()))
        names = [
            name
            for name in task_vars
            if (name.startswith(prefixes) or name in IDENTITY) and not name.startswith(NOT_PROVISIONING)
        ]
        values = {name: self._resolve(name, task_vars[name]) for name in sorted(names)}
        return {**files, **values_by_source(values, is_secret_name, root), **contents_by_source(values, root)}

    def _resolve(self, name: str, value: Any) -> Any:
        """Return the value as tasks would see it; one that needs the host's facts counts as it is written."""
        try:
            return self._templar.template(value)
        except AnsibleError:
            return str(value)

    def _compare(self, sources: dict[str, str], answer: dict[str, Any], *, full: bool) -> dict[str, Any]:
        recorded = answer.pop("recorded", None) or {}
        current = fingerprint(sources)
        needed = full or recorded.get("fingerprint") != current or "begun" in recorded
        if not recorded:
            line = "never provisioned to the end: everything is applied"
        elif recorded["fingerprint"] != current:
            line = f"provisioned anew, because of {difference(recorded.get('sources', {}), sources)}"
        elif "begun" in recorded:
            line = f"the provisioning of {recorded['begun']} did not come to its end: everything is applied"
        else:
            line = f"provisioned {recorded['at']}, unchanged" + ("; applied anew as asked for" if full else "")
        comparison = {"needed": needed, "fingerprint": current, "sources": sources}
        return {
            "changed": False,
            **comparison,
            # A fact lasts for the run; a registered result would be overwritten where a later play skips the task.
            "ansible_facts": {**answer["ansible_facts"], "pasargad_provisioning": comparison},
            "pasargad": {"phase": "converge", "line": line, "details": {}},
        }
