"""Start, stop and ask systemd units."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import shell


def web(slot: str) -> str:
    return f"pasargad-web@{slot}.service"


def worker(slot: str) -> str:
    return f"pasargad-worker@{slot}.service"


def is_active(unit: str) -> bool:
    """Tell whether the unit runs or is on its way."""
    return show(unit, "ActiveState")["ActiveState"] in ("active", "activating", "reloading")


def show(unit: str, *names: str) -> dict[str, str]:
    """Return properties of a unit; a unit that nobody knows is inactive."""
    text = shell.run(["systemctl", "show", "-p", ",".join(names), unit]).stdout
    return {**dict.fromkeys(names, ""), **dict(line.split("=", 1) for line in text.splitlines() if "=" in line)}


def start(unit: str, *, timeout: float = 120) -> None:
    shell.run(["systemctl", "reset-failed", unit], check=False)
    shell.run(["systemctl", "start", unit], timeout=timeout)


def start_later(unit: str) -> None:
    """Ask for the unit's start without waiting for it."""
    shell.run(["systemctl", "reset-failed", unit], check=False)
    shell.run(["systemctl", "start", "--no-block", unit])


def stop(*units: str, timeout: float = 120) -> None:
    """Stop units and wait; `timeout` has to be longer than what they themselves may take."""
    try:
        shell.run(["systemctl", "stop", *units], timeout=timeout)
    except shell.CommandFailed as error:
        slow = [unit for unit in units if show(unit, "ActiveState")["ActiveState"] == "deactivating"]
        names = " ".join(slow or units)
        raise shell.CommandFailed(
            f"{names} did not stop: {error.message}",
            hint=f"see what it is at: journalctl -u {names.replace(' ', ' -u ')} -e; when it has ended run the same "
            f"command again; or end it at once: systemctl kill --signal=KILL {names}",
        ) from error


def stop_later(unit: str) -> None:
    """Ask the unit to end without waiting for it."""
    shell.run(["systemctl", "stop", "--no-block", unit])


def stop_patiently(unit: str, *, wait_seconds: float) -> bool:
    """Ask the unit to end, wait a while, and tell whether it has; systemd goes on waiting for one that has not."""
    stop_later(unit)
    deadline = time.monotonic() + wait_seconds
    while show(unit, "ActiveState")["ActiveState"] in ("active", "activating", "deactivating", "reloading"):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.1)
    return True


def workers_of(unit: str) -> int:
    """Return how many processes the unit's main process has forked."""
    pid = show(unit, "MainPID")["MainPID"]
    try:
        return len(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    except OSError:
        return 0


def journal_tail(unit: str, *, since: float, lines: int = 30) -> list[str]:
    """Return the unit's last journal lines, as they are: whoever shows them masks secrets."""
    # A process that has just ended has often more to say than the journal has written yet.
    shell.run(["journalctl", "--sync"], check=False)
    command = ["journalctl", "-u", unit, "-n", str(lines), "-o", "cat", "--no-pager", f"--since=@{int(since)}"]
    return shell.run(command, check=False).stdout.splitlines()


def schedule(unit: str, delay_seconds: float, command: Sequence[str], *, environment: Mapping[str, str]) -> None:
    """Run `command` once after a delay, by a timer that outlives the caller; replaces an armed one of that name."""
    cancel(unit)
    settings = [f"--setenv={name}={value}" for name, value in environment.items()]
    options = ["--quiet", "--collect", f"--unit={unit}", f"--on-active={delay_seconds}"]
    shell.run(["systemd-run", *options, "--timer-property=AccuracySec=100ms", *settings, *command])


def cancel(*units: str) -> None:
    """Disarm timers made by `schedule`; one that is not armed is fine."""
    timers = [f"{unit}.timer" for unit in units]
    shell.run(["systemctl", "stop", *timers], check=False)
    shell.run(["systemctl", "reset-failed", *timers, *[f"{unit}.service" for unit in units]], check=False)


def running(pattern: str) -> list[str]:
    """Return the units of that name pattern that run now."""
    states = "--state=active,activating,deactivating,reloading"
    text = shell.run(["systemctl", "list-units", "--plain", "--no-legend", "--full", states, pattern]).stdout
    # A finished unit that keeps its result (RemainAfterExit) is active but has no process.
    names = [line.split()[0] for line in text.splitlines() if line.strip()]
    return [name for name in names if show(name, "SubState")["SubState"] != "exited"]


def start_transient(unit: str, command: Sequence[str], *, properties: Mapping[str, str | list[str]]) -> None:
    """Start `command` as a unit of its own, which outlives this process and keeps its result."""
    shell.run(["systemctl", "reset-failed", f"{unit}.service"], check=False)
    shell.run(["systemctl", "stop", f"{unit}.service"], check=False)
    options = ["--quiet", "--no-block", f"--unit={unit}", "--property=RemainAfterExit=yes"]
    shell.run(["systemd-run", *options, *property_options(properties), *command])


def property_options(properties: Mapping[str, str | list[str]]) -> list[str]:
    """Return properties as options of systemd-run."""
    return [
        f"--property={name}={each}"
        for name, value in properties.items()
        for each in ([value] if isinstance(value, str) else value)
    ]


def await_transient(unit: str, *, timeout: float, since: float) -> tuple[int, list[str]]:
    """Wait for a unit made by `start_transient`, also one that an earlier process started; return its code and
    output.
    """
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        values = show(f"{unit}.service", "ActiveState", "SubState", "ExecMainStatus")
        if values["SubState"] == "exited" or values["ActiveState"] in ("failed", "inactive"):
            code = int(values["ExecMainStatus"] or 0)
            if values["ActiveState"] == "failed" and code == 0:
                code = 1
            output = journal_tail(f"{unit}.service", since=since - 1, lines=200)
            shell.run(["systemctl", "stop", f"{unit}.service"], check=False)
            shell.run(["systemctl", "reset-failed", f"{unit}.service"], check=False)
            return code, output
        time.sleep(0.1)
    raise shell.CommandFailed(
        f"{unit} still runs after {timeout:g} s",
        hint=f"watch it: journalctl -u {unit} -f; when it has ended run deploy.yml again",
    )
