"""Turns settings into lines of a systemd EnvironmentFile, and asks the shop's own loader whether it takes them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any

from ansible.errors import AnsibleFilterError

# The shop's own code reads the settings, in a process whose environment holds nothing but them. They travel by standard
# input: neither the arguments nor the environment of the process that Ansible starts show a secret.
LOADER = """
import json, os, sys
os.environ.clear()
os.environ.update(json.load(sys.stdin))
sys.path.insert(0, sys.argv[1])
from config.env import EnvironmentInvalid, env
import config.settings.from_environment
try:
    env.require_valid()
except EnvironmentInvalid as error:
    print(json.dumps(error.problems))
else:
    print("{}")
"""

# What systemd.exec(5) and POSIX shells both undo within double quotes.
ESCAPED = str.maketrans({char: f"\\{char}" for char in '\\"$`'})


def _refusal(value: Any) -> str | None:
    """Says why no line of an environment file can hold the value, without showing it."""
    if isinstance(value, list | tuple):
        if any(isinstance(item, str) and "," in item for item in value):
            return "has a comma inside an item; commas separate the items"
        return next(filter(None, map(_refusal, value)), None)
    if isinstance(value, bool | int | float):
        return None
    if not isinstance(value, str):
        return f"must be text, a number, true, false or a list, not {type(value).__name__}"
    if "\n" in value or "\r" in value:
        return "has a line break inside; an environment file holds one line for each setting"
    if any(ord(char) < 32 or ord(char) == 127 for char in value):
        return "has a control character inside"
    return "is not valid Unicode" if any(0xD800 <= ord(char) <= 0xDFFF for char in value) else None


def env_text(value: Any, name: str = "a setting") -> str:
    """Returns a setting as the shop reads it: true and false, numbers, lists joined by commas.

    Raises AnsibleFilterError, which names the setting and never shows its value, for what no line can hold.
    """
    refusal = _refusal(value)
    if refusal:
        raise AnsibleFilterError(f"{name} {refusal}")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ",".join(env_text(item, name) for item in value)
    return str(value)


def env_quote(value: Any, name: str = "a setting") -> str:
    """Returns the value in double quotes, so that systemd and a shell read back exactly what it was."""
    return f'"{env_text(value, name).translate(ESCAPED)}"'


def env_problems(values: Mapping[str, Any], app: str) -> dict[str, str]:
    """Returns what the shop's loader has against these settings, by name; `app` is the directory of its code."""
    refused = {name: refusal for name, value in values.items() if (refusal := _refusal(value))}
    texts = {name: env_text(value, name) for name, value in values.items() if name not in refused}
    ran = subprocess.run(
        [sys.executable, "-B", "-c", LOADER, app], input=json.dumps(texts), capture_output=True, text=True, check=False
    )
    if ran.returncode:
        reason = ran.stderr.strip().splitlines()[-1] if ran.stderr.strip() else f"exit status {ran.returncode}"
        raise AnsibleFilterError(
            f"the shop's settings cannot be read on this machine ({reason}); mend it with: make setup"
        )
    return {**json.loads(ran.stdout), **refused}


def env_advice(
    problems: Mapping[str, str], defaults: Mapping[str, Any], secrets: Collection[str]
) -> list[dict[str, str]]:
    """Returns for each problem the variable, the text and where the value comes from.

    `defaults` are the role's, as they are written; `secrets` are the shared variables that a vault fills.
    """
    advice = []
    for name, problem in sorted(problems.items()):
        variable = f"app_env_{name.lower()}"
        shared = re.findall(r"\bpasargad_\w+", str(defaults.get(variable, "")))
        origins = [f"vault_{one} in vault.yml" if one in secrets else one for one in dict.fromkeys(shared)]
        source = f" (by default from {', '.join(origins)})" if origins else ""
        advice.append({"name": name, "text": f"{variable}{source} {problem}"})
    return advice


def env_strangers(names: Collection[str], known: Collection[str]) -> list[str]:
    """Returns a sentence for each app_env_* variable that nothing reads, with the name it resembles most."""
    sentences = []
    for name in sorted(set(names) - set(known)):
        like = get_close_matches(name, list(known), 1, 0.8)
        sentences.append(f"{name} is not a setting" + (f"; did you mean {like[0]}?" if like else ""))
    return sentences


class FilterModule:
    """What Ansible finds here."""

    def filters(self) -> dict[str, Any]:
        """Returns the filters by name."""
        return {
            "env_advice": env_advice,
            "env_problems": env_problems,
            "env_quote": env_quote,
            "env_strangers": env_strangers,
        }
