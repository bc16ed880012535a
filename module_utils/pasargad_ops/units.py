"""Start, stop and ask systemd units."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence

from . import shell
from .config import ReleaseConfig

SECRET = re.compile(
    r"(?i)((?:password|secret|token|key|passphrase)[\"']?\s*[=:]\s*[\"']?)[^\s\"',]{4,}|(://[^:/\s]+:)[^@\s]+(@)"
)


def web(slot: str) -> str:
    return f"pasargad-web@{slot}.service"


def worker(slot: str) -> str:
    return f"pasargad-worker@{slot}.service"


def is_active(unit: str) -> bool:
    """Tell whether the unit runs or is on its way."""
    state = shell.run(["systemctl", "show", "-P", "ActiveState", unit]).stdout.strip()
    return state in ("active", "activating", "reloading")


def start(unit: str, *, timeout: float = 120) -> None:
    shell.run(["systemctl", "reset-failed", unit], check=False)
    shell.run(["systemctl", "start", unit], timeout=timeout)


def start_later(unit: str) -> None:
    """Ask for the unit's start without waiting for it."""
    shell.run(["systemctl", "start", "--no-block", unit])


def stop(unit: str, *, timeout: float = 120) -> None:
    shell.run(["systemctl", "stop", unit], timeout=timeout)


def restarts(unit: str) -> int:
    """Return how often systemd has started the unit again by itself since it was asked to start it."""
    return int(shell.run(["systemctl", "show", "-P", "NRestarts", unit]).stdout.strip() or 0)


def journal_tail(unit: str, *, since: float, lines: int = 30) -> list[str]:
    """Return the unit's last journal lines with the values of secrets masked."""
    command = ["journalctl", "-u", unit, "-n", str(lines), "-o", "cat", "--no-pager", f"--since=@{int(since)}"]
    text = shell.run(command, check=False).stdout
    return [mask(line) for line in text.splitlines()]


def mask(text: str) -> str:
    """Replace what looks like the value of a secret."""
    return SECRET.sub(lambda found: f"{found[1]}********" if found[1] else f"{found[2]}********{found[3]}", text)


def schedule(unit: str, delay_seconds: float, command: Sequence[str], *, environment: Mapping[str, str]) -> None:
    """Run `command` once after a delay, by a timer that outlives the caller; replaces an armed one of that name."""
    cancel(unit)
    settings = [f"--setenv={name}={value}" for name, value in environment.items()]
    shell.run(
        [
            "systemd-run",
            "--quiet",
            "--collect",
            f"--unit={unit}",
            f"--on-active={delay_seconds}",
            "--timer-property=AccuracySec=100ms",
            *settings,
            *command,
        ]
    )


def cancel(unit: str) -> None:
    """Disarm a timer made by `schedule`; one that is not armed is fine."""
    shell.run(["systemctl", "stop", f"{unit}.timer"], check=False)
    shell.run(["systemctl", "reset-failed", f"{unit}.timer", f"{unit}.service"], check=False)


def run_transient(
    config: ReleaseConfig,
    unit: str,
    command: Sequence[str],
    *,
    properties: Mapping[str, str | list[str]],
    timeout: float,
) -> tuple[int, str]:
    """Run `command` as a unit of its own and wait for it; return its code and output.

    The unit outlives this process. When a unit of that name is already running, its end is waited for instead of
    starting another.
    """
    if not is_active(f"{unit}.service"):
        shell.run(["systemctl", "reset-failed", f"{unit}.service"], check=False)
        settings = []
        for name, value in properties.items():
            settings += [f"--property={name}={each}" for each in ([value] if isinstance(value, str) else value)]
        started = time.time()
        shell.run(
            [
                "systemd-run",
                "--quiet",
                "--no-block",
                f"--unit={unit}",
                "--property=RemainAfterExit=yes",
                *settings,
                *command,
            ]
        )
    else:
        started = time.time() - timeout
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        shown = shell.run(
            ["systemctl", "show", "-p", "ActiveState,SubState,ExecMainStatus,ExecMainCode", f"{unit}.service"]
        ).stdout
        values = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
        if values["SubState"] == "exited" or values["ActiveState"] in ("failed", "inactive"):
            output = "\n".join(journal_tail(f"{unit}.service", since=started - 1, lines=200))
            code = int(values["ExecMainStatus"] or 0)
            if values["ActiveState"] == "failed" and code == 0:
                code = 1
            shell.run(["systemctl", "stop", f"{unit}.service"], check=False)
            shell.run(["systemctl", "reset-failed", f"{unit}.service"], check=False)
            return code, output
        time.sleep(0.1)
    raise shell.CommandFailed(f"{unit} still runs after {timeout:g} s", hint=f"journalctl -u {unit} -f")
