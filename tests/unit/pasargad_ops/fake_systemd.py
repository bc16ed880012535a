#!/usr/bin/python3 -SE
"""Stand in for systemctl, systemd-run and journalctl inside a test: real processes, a file a unit, no privileges.

Called by one of those names. FAKE_SYSTEMD names the directory of units, FAKE_CONFIG the operations' config, PYTHONPATH
their package. A unit is UNIT.json (pid, where a transient unit's code goes) and UNIT.log (its output). It is called a
hundred times in a deploy, so it imports little: no pathlib.
"""
# ruff: noqa: PTH108, PTH110, PTH118, PTH119, PTH123, PTH208, SIM105

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from fnmatch import fnmatch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ROOT = os.environ["FAKE_SYSTEMD"]


def path(unit: str, kind: str) -> str:
    return os.path.join(ROOT, unit + kind)


def load(unit: str) -> dict[str, Any]:
    try:
        with open(path(unit, ".json")) as file:
            return dict(json.load(file))
    except FileNotFoundError:
        return {}


def save(unit: str, **values: object) -> None:
    temporary = path(unit, f".{os.getpid()}.tmp")
    with open(temporary, "w") as file:
        json.dump(values, file)
    os.rename(temporary, path(unit, ".json"))


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def describe(unit: str) -> dict[str, str]:
    about = load(unit)
    if not about:
        return {"ActiveState": "inactive", "SubState": "dead", "NRestarts": "0", "MainPID": "0", "ExecMainStatus": "0"}
    running, code = alive(about["pid"]), "0"
    if "result" in about and os.path.exists(about["result"]):
        with open(about["result"]) as file:
            code, running = file.read().strip(), False
    state = ("active", "running") if running else ("failed", "failed") if code != "0" else ("active", "exited")
    if "result" not in about and not running:
        state = ("failed", "failed")
    return {
        "ActiveState": state[0],
        "SubState": state[1],
        "NRestarts": "0",
        "MainPID": str(about["pid"] if running else 0),
        "ExecMainStatus": code,
    }


def environment_of(file: str) -> dict[str, str]:
    """Read NAME="value" lines as systemd does."""
    values = {}
    with open(file) as lines:
        for line in lines:
            if "=" in line and not line.startswith("#"):
                name, value = line.rstrip("\n").split("=", 1)
                values[name] = value.strip('"')
    return values


def spawn(
    unit: str, command: list[str], environment: dict[str, str], directory: str | None = None, **about: object
) -> None:
    with open(path(unit, ".log"), "ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **environment},
            cwd=directory,
            start_new_session=True,
        )
    save(unit, pid=process.pid, **about)


def start(unit: str) -> None:
    if describe(unit)["ActiveState"] == "active":
        return
    role, slot = unit.removeprefix("pasargad-").removesuffix(".service").split("@")
    with open(os.environ["FAKE_CONFIG"]) as file:
        etc = json.load(file)["etc_dir"]
    command = ["/usr/bin/python3", "-m", "pasargad_ops", "--config", os.environ["FAKE_CONFIG"], "exec", role, slot]
    spawn(unit, command, environment_of(f"{etc}/env/slot-{slot}.env"))


def stop(unit: str) -> None:
    about = load(unit)
    if about and alive(about["pid"]):
        try:
            os.killpg(about["pid"], signal.SIGTERM)
        except ProcessLookupError:
            pass
        deadline = time.monotonic() + 3
        while alive(about["pid"]) and time.monotonic() < deadline:
            time.sleep(0.01)
        if alive(about["pid"]):
            os.killpg(about["pid"], signal.SIGKILL)
    if about:
        os.unlink(path(unit, ".json"))


def systemctl(arguments: list[str]) -> None:
    verb, rest = arguments[0], [each for each in arguments[1:] if not each.startswith("-")]
    if verb == "show":
        names, unit = arguments[2].split(","), arguments[3]
        about = describe(unit)
        print("\n".join(f"{name}={about[name]}" for name in names))
    elif verb == "list-units":
        found = [name.removesuffix(".json") for name in os.listdir(ROOT) if name.endswith(".json")]
        for name in found:
            if fnmatch(name, rest[-1]) and describe(name)["ActiveState"] == "active":
                print(name, "loaded active running")
    elif verb == "start":
        for unit in rest:
            start(unit)
    elif verb == "stop":
        for unit in rest:
            stop(unit)
    elif verb != "reset-failed":
        sys.exit(f"fake systemctl knows no {verb}")


def systemd_run(arguments: list[str]) -> None:
    options: dict[str, str] = {}
    properties: dict[str, list[str]] = {}
    while arguments and arguments[0].startswith("--"):
        name, _, value = arguments.pop(0)[2:].partition("=")
        if name in ("property", "setenv"):
            key, _, value = value.partition("=")
            properties.setdefault(key if name == "property" else "Environment", []).append(
                value if name == "property" else f"{key}={value}"
            )
        else:
            options[name] = value
    environment: dict[str, str] = {}
    for file in properties.get("EnvironmentFile", []):
        environment.update(environment_of(file))
    environment.update((each.partition("=")[::2]) for each in properties.get("Environment", []))
    directory = properties["WorkingDirectory"][0] if "WorkingDirectory" in properties else None
    if "wait" in options:
        done = subprocess.run(arguments, env={**os.environ, **environment}, cwd=directory)
        sys.exit(done.returncode)
    if "on-active" in options:
        line = ["sh", "-c", 'sleep "$1"; shift; exec "$@"', "timer", options["on-active"], *arguments]
        spawn(f"{options['unit']}.timer", line, environment)
        return
    unit = f"{options['unit']}.service"
    result = path(unit, ".result")
    if os.path.exists(result):
        os.unlink(result)
    line = ["sh", "-c", 'out=$1; shift; "$@"; echo $? >"$out.part"; mv "$out.part" "$out"', "unit", result, *arguments]
    spawn(unit, line, environment, directory, result=result)


def journalctl(arguments: list[str]) -> None:
    unit = arguments[arguments.index("-u") + 1]
    if os.path.exists(path(unit, ".log")):
        with open(path(unit, ".log")) as log:
            print("".join(log.readlines()[-int(arguments[arguments.index("-n") + 1]) :]), end="")


if __name__ == "__main__":
    called = {"systemctl": systemctl, "systemd-run": systemd_run, "journalctl": journalctl}
    called[os.path.basename(sys.argv[0])](sys.argv[1:])
