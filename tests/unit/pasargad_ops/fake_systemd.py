#!/usr/bin/python3 -SE
"""Stand in for systemctl, systemd-run and journalctl inside a test: real processes, a file a unit, no privileges.

Called by one of those names, or by a test as `call`. FAKE_SYSTEMD names the directory of units, FAKE_CONFIG the
operations' config, PYTHONPATH their package. A unit is UNIT.json (pid, where a transient unit's code goes) and UNIT.log
(its output). It is called a hundred times in a deploy, so it imports little (no pathlib), and tests call it without a
process of its own.
"""
# ruff: noqa: PTH108, PTH110, PTH118, PTH119, PTH123, PTH208, SIM105

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from fnmatch import fnmatch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# Becomes the process of a slot without a Python that reads the command line first; a test may set it.
become: Callable[[str, str], None] | None = None


def path(unit: str, kind: str) -> str:
    return os.path.join(os.environ["FAKE_SYSTEMD"], unit + kind)


def load(unit: str) -> dict[str, Any]:
    try:
        with open(path(unit, ".json")) as file:
            return dict(json.load(file))
    except FileNotFoundError:
        return {}


def save(unit: str, **values: object) -> None:
    temporary = path(unit, f".{os.getpid()}.{threading.get_ident()}.tmp")
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
    unit: str,
    command: list[str],
    environment: dict[str, str],
    directory: str | None = None,
    instead: Callable[[], None] | None = None,
    **about: object,
) -> None:
    """Start a process in a session of its own; `instead` of the command it runs code that becomes another program."""
    with open(path(unit, ".log"), "ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **environment},
            cwd=directory,
            start_new_session=True,
            preexec_fn=instead,
        )
    save(unit, pid=process.pid, **about)


def start(unit: str) -> None:
    if describe(unit)["ActiveState"] == "active":
        return
    role, slot = unit.removeprefix("pasargad-").removesuffix(".service").split("@")
    with open(os.environ["FAKE_CONFIG"]) as file:
        etc = json.load(file)["etc_dir"]
    command = ["/usr/bin/python3", "-m", "pasargad_ops", "--config", os.environ["FAKE_CONFIG"], "exec", role, slot]
    environment = environment_of(f"{etc}/env/slot-{slot}.env")

    def instead() -> None:
        os.environ.update(environment)
        if become:
            become(role, slot)

    spawn(unit, command, environment, instead=instead if become else None)


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


def systemctl(arguments: list[str]) -> str:
    verb, rest = arguments[0], [each for each in arguments[1:] if not each.startswith("-")]
    if verb == "show":
        names, unit = arguments[2].split(","), arguments[3]
        about = describe(unit)
        return "".join(f"{name}={about[name]}\n" for name in names)
    if verb == "list-units":
        files = os.listdir(os.environ["FAKE_SYSTEMD"])
        found = [
            name.removesuffix(".json") for name in files if name.endswith(".json") and fnmatch(name, rest[-1] + "*")
        ]
        return "".join(f"{name} loaded active running\n" for name in found if describe(name)["ActiveState"] == "active")
    if verb not in ("start", "stop", "reset-failed"):
        raise ValueError(f"fake systemctl knows no {verb}")
    for unit in rest if verb != "reset-failed" else ():
        start(unit) if verb == "start" else stop(unit)
    return ""


def systemd_run(arguments: list[str], stdin: str | None) -> subprocess.CompletedProcess[str]:
    arguments = list(arguments)
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
        given = {"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}
        return subprocess.run(
            arguments, env={**os.environ, **environment}, cwd=directory, capture_output=True, text=True, **given
        )
    if "on-active" in options:
        line = ["sh", "-c", 'sleep "$1"; shift; exec "$@"', "timer", options["on-active"], *arguments]
        spawn(f"{options['unit']}.timer", line, environment)
        return subprocess.CompletedProcess([], 0, "", "")
    unit = f"{options['unit']}.service"
    result = path(unit, ".result")
    if os.path.exists(result):
        os.unlink(result)
    line = ["sh", "-c", 'out=$1; shift; "$@"; echo $? >"$out.part"; mv "$out.part" "$out"', "unit", result, *arguments]
    spawn(unit, line, environment, directory, result=result)
    return subprocess.CompletedProcess([], 0, "", "")


def journalctl(arguments: list[str]) -> str:
    if arguments == ["--sync"]:
        return ""
    unit = arguments[arguments.index("-u") + 1]
    if not os.path.exists(path(unit, ".log")):
        return ""
    with open(path(unit, ".log")) as log:
        return "".join(log.readlines()[-int(arguments[arguments.index("-n") + 1]) :])


def call(program: str, arguments: list[str], stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Do what the program of that name would."""
    if program == "systemd-run":
        return systemd_run(arguments, stdin)
    known = {"systemctl": systemctl, "journalctl": journalctl}
    return subprocess.CompletedProcess([], 0, known[program](arguments), "")


if __name__ == "__main__":
    done = call(os.path.basename(sys.argv[0]), sys.argv[1:])
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    sys.exit(done.returncode)
