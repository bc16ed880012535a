"""What a playbook said it changed, task by task, and what a host really is, file by file and service by service."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tests.shop import Run, Shop

JSON_LINES = {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.jsonl", "ANSIBLE_NOCOLOR": "1"}
WATCHED_TREES = ("/etc", "/srv", "/usr/local", "/var/lib/pasargad")
# What timers of every few minutes write, whoever plays meanwhile.
WRITTEN_BY_TIMERS = (
    "/var/lib/pasargad/metrics/backup_heartbeat.prom",
    "/var/lib/pasargad/metrics/backup_notify.prom",
    "/var/lib/pasargad/backup/outbox/",
)
# What tells one state of a file, or one run of a service, from another; by path or by name.
Marks = dict[str, tuple[str, ...]]

# Content, owner, mode and time of every file. Not the time of directories: a temporary file beside another moves it.
LOOK_AT_FILES = """
import hashlib, os, stat, sys
for root in sys.argv[1:]:
    for directory, names, files in os.walk(root):
        names[:] = [name for name in names if name != "__pycache__"]
        for path in [directory, *(os.path.join(directory, name) for name in files + names)]:
            about = os.lstat(path)
            if stat.S_ISLNK(about.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(about.st_mode):
                content = hashlib.sha256(open(path, "rb").read()).hexdigest()
            else:
                content = "-"
            changed = about.st_mtime_ns if not stat.S_ISDIR(about.st_mode) else 0
            print(path, oct(about.st_mode), about.st_uid, about.st_gid, changed, content, sep="\\t")
"""
# Each running service with what names one run of it; for those that fork servers, these too: a reload replaces them.
LOOK_AT_SERVICES = """
import subprocess
wanted = "Id,InvocationID,MainPID,ActiveEnterTimestampMonotonic"
shown = subprocess.run(["systemctl", "show", "--type=service", "--state=running", "-p", wanted, "*"],
                       capture_output=True, text=True, check=True).stdout
for block in filter(None, shown.strip().split("\\n\\n")):
    about = dict(line.split("=", 1) for line in block.splitlines())
    pid, forked = about["MainPID"], []
    if about["Id"].startswith(("nginx", "pasargad-web@")):
        children = open(f"/proc/{pid}/task/{pid}/children").read().split()
        # nginx's cache loader ends by itself a minute after every start.
        lasting = [child for child in children if "cache loader" not in open(f"/proc/{child}/cmdline").read()]
        forked = [f"{child}:" + open(f"/proc/{child}/stat").read().rsplit(")", 1)[1].split()[19] for child in lasting]
    print(about["Id"], about["InvocationID"], pid, about["ActiveEnterTimestampMonotonic"], *sorted(forked), sep="\\t")
"""


@dataclass(frozen=True, order=True)
class Changed:
    """A task that said `changed` on a host."""

    host: str
    task: str

    def __str__(self) -> str:
        return f"{self.host}: {self.task}"


def play(shop: Shop, playbook: str, *arguments: str) -> tuple[Run, list[Changed]]:
    """Run a playbook that must succeed; return it and the tasks that changed something, in their order."""
    done = shop.playbook(playbook, *arguments, env=JSON_LINES).require()
    return done, changes(done.output)


def changes(output: str) -> list[Changed]:
    """Read the tasks that changed something from the lines of the jsonl callback."""
    found = []
    for line in output.splitlines():
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            # A warning between the events.
            continue
        if not isinstance(event, dict) or event.get("_event") != "v2_runner_on_ok":
            continue
        for host, result in event["hosts"].items():
            if result.get("changed"):
                found.append(Changed(host, event["task"]["name"]))
    return found


def python(shop: Shop, host: str, program: str, *arguments: str) -> list[list[str]]:
    """Run a Python program on a host; return its lines, split at tabs."""
    script = program.replace("'", "'\\''")
    output = shop.on(host, f"python3 -c '{script}' {' '.join(arguments)}", timeout=300).require().output
    return [line.split("\t") for line in output.splitlines() if "\t" in line]


def files(shop: Shop, host: str = "store1") -> Marks:
    """Return what the watched trees of a host hold, by path."""
    rows = python(shop, host, LOOK_AT_FILES, *WATCHED_TREES)
    return {row[0]: tuple(row[1:]) for row in rows if not row[0].startswith(WRITTEN_BY_TIMERS)}


def services(shop: Shop, host: str = "store1") -> Marks:
    """Return what names this very run of each running service: invocation, main process, start, servers it forked."""
    return {row[0]: tuple(row[1:]) for row in python(shop, host, LOOK_AT_SERVICES)}


def differing(before: Marks, after: Marks) -> list[str]:
    """Name what went, came or is no longer the same."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def restarted(before: Marks, after: Marks) -> list[str]:
    """Name the services that ran before and are not the very same run any more."""
    return sorted(name for name, run in before.items() if after.get(name) != run)
