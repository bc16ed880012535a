"""Finds and ends the processes of a host by what they are, never by a remembered process id."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from .errors import LabError
from .shell import run, tool_path, wait_until

# $1 machine, $2 root, $3 bridge, $4 link, rest: cgroup.procs files of the machine's own cgroup.
# systemd-nspawn --keep-unit ends with 133 when the host reboots; anything else is the end of the machine.
# The kernel takes a dead machine's network link away some time later; until then a new one of that name cannot be made.
SUPERVISOR = """
machine=$1 root=$2 bridge=$3 link=$4; shift 4
for procs in "$@"; do echo $$ >"$procs" || exit 1; done
while :; do
    ip link delete "$link" 2>/dev/null
    SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 systemd-nspawn --quiet --settings=no --boot --directory="$root" \\
        --machine="$machine" --register=no --keep-unit --network-bridge="$bridge" --resolv-conf=off \\
        --timezone=off --link-journal=no
    [ $? -eq 133 ] || break
done
"""
# A plain cgroup tree of our own where no systemd manages this machine: cgroup v2 alone, or beside v1.
CGROUP_ROOTS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup/systemd"))
CGROUP_NAME = "pasargad-lab"


def leader(upper: Path) -> int | None:
    """Return the host's PID 1 as this machine counts: the process whose root is the overlay over `upper`."""
    depth = len(_namespace_pids(Path("/proc/self"))) + 1
    mark = f"upperdir={upper},"
    for process in _processes():
        with contextlib.suppress(OSError):
            pids = _namespace_pids(process)
            if len(pids) == depth and pids[-1] == 1 and _root_options(process).find(mark) >= 0:
                return int(process.name)
    return None


def link_of(machine: str) -> str:
    """Return what systemd-nspawn calls this end of the machine's network link."""
    return f"vb-{machine}"


def supervisors(machine: str) -> list[int]:
    """Return the processes that would start the machine again or clean up after it: our shell and systemd-nspawn."""
    found = []
    for process in _processes():
        with contextlib.suppress(OSError):
            argv = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            nspawn = Path(argv[0]).name == "systemd-nspawn" and f"--machine={machine}" in argv
            shell = len(argv) > 4 and argv[1] == "-c" and argv[3] == CGROUP_NAME and argv[4] == machine
            if nspawn or shell:
                found.append(int(process.name))
    return found


def spawn(machine: str, root: Path, bridge: str, console: Path) -> None:
    """Start the machine so that it outlives the caller; its console goes to a file."""
    command = ["sh", "-c", SUPERVISOR, CGROUP_NAME, machine, str(root), bridge, link_of(machine)]
    with console.open("wb") as output:
        if Path("/run/systemd/system").is_dir():
            unit = f"{CGROUP_NAME}-{machine}.service"
            run(["systemctl", "reset-failed", unit], check=False)
            properties = ("Delegate=yes", "KillMode=mixed", f"StandardOutput=append:{console}", "StandardError=inherit")
            run(
                [
                    "systemd-run",
                    "--quiet",
                    "--collect",
                    f"--unit={unit}",
                    f"--description=Lab host {machine}",
                    *(f"-p{item}" for item in properties),
                    *command,
                ]
            )
            return
        _detach([*command, *(str(path) for path in _own_cgroups(machine))], output.fileno())


def _detach(command: list[str], output: int) -> None:
    """Run a command as a session of its own whose parent is not the caller."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        os.setsid()
        if os.fork() == 0:
            os.chdir("/")
            null = os.open(os.devnull, os.O_RDONLY)
            os.dup2(null, 0)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.closerange(3, 4096)
            environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
            os.execve(tool_path("sh") or "/bin/sh", command, environment)
    finally:
        os._exit(0)


def _own_cgroups(machine: str) -> list[Path]:
    """Make the machine's cgroup in each hierarchy that systemd-nspawn uses; machines must not share one."""
    files = []
    for hierarchy in CGROUP_ROOTS:
        if (hierarchy / "cgroup.procs").exists():
            directory = hierarchy / CGROUP_NAME / machine
            directory.mkdir(parents=True, exist_ok=True)
            files.append(directory / "cgroup.procs")
    return files


def remove_cgroups(machine: str) -> None:
    """Remove what _own_cgroups made and the machine filled; empty groups only can be removed."""
    for hierarchy in CGROUP_ROOTS:
        directory = hierarchy / CGROUP_NAME / machine
        for path, _, _ in os.walk(directory, topdown=False):
            with contextlib.suppress(OSError):
                Path(path).rmdir()


def power_off(machine: str, upper: Path, *, seconds: float = 45) -> None:
    """Shut the host down in order; one that does not end in time loses power."""
    pid = leader(upper)
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGRTMIN + 4)  # systemd's poweroff.target
        wait_until(lambda: leader(upper) is None and not supervisors(machine), seconds, pause=0.2)
    power_cut(machine, upper)


def power_cut(machine: str, upper: Path, *, seconds: float = 15) -> None:
    """Kill the machine at once: what would restart or clean up, then PID 1, with which the kernel ends the rest."""
    deadline = time.monotonic() + seconds
    while True:
        first = leader(upper)
        victims = [*supervisors(machine), *([first] if first else [])]
        if not victims:
            break
        if time.monotonic() > deadline:
            raise LabError(f"Processes of {machine} survive SIGKILL: {victims}.", hint="See their state in /proc.")
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    remove_cgroups(machine)
    run(["ip", "link", "delete", link_of(machine)], check=False)


def _processes() -> Iterator[Path]:
    return (path for path in Path("/proc").iterdir() if path.name.isdigit())


def _namespace_pids(process: Path) -> list[int]:
    """The process's ids, from our namespace inward."""
    for line in (process / "status").read_text().splitlines():
        if line.startswith("NSpid:"):
            return [int(pid) for pid in line.split()[1:]]
    return []


def _root_options(process: Path) -> str:
    """The mount options of what the process sees as /."""
    for line in (process / "mountinfo").read_text().splitlines():
        fields = line.split()
        if fields[4] == "/":
            return fields[-1] + ","
    return ""
