"""Looks for known secrets in everything that others can see: output, arguments, /proc, journals, files.

Every program that starts on this machine, in lab hosts too, is seen through the kernel's process connector; a watcher
of its own reads its arguments at once. As a program this module is that watcher.
"""

from __future__ import annotations

import base64
import json
import os
import re
import select
import socket
import stat
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[1]
NOBODY = 65534
# linux/connector.h, linux/cn_proc.h
NETLINK_CONNECTOR = 11
CN_IDX_PROC = CN_VAL_PROC = PROC_CN_MCAST_LISTEN = 1
PROC_EVENT_EXEC = 2
EVENT_OFFSET = 36


def forms(secret: str) -> list[str]:
    """Return the texts that give a secret away: itself, and its Base64 wherever it may begin within other bytes."""
    found = [secret]
    for lead in range(3):
        encoded = base64.b64encode(b"\0" * lead + secret.encode()).decode()
        # The first and last characters also depend on what stands around the secret.
        found.append(encoded[-(-lead * 8 // 6) : -4])
    return found


class Sentinel:
    """The secrets of a run, by name."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        short = [name for name, secret in secrets.items() if len(secret) < 12]
        if short:
            raise ValueError(f"too short to be told from other text: {', '.join(short)}")
        self.secrets = dict(secrets)
        self._names = {form.encode(): name for name, secret in secrets.items() for form in forms(secret)}
        self._pattern = re.compile(b"|".join(re.escape(form) for form in sorted(self._names, key=len, reverse=True)))

    def find(self, data: str | bytes) -> set[str]:
        """Return the names of the secrets in it."""
        raw = data.encode(errors="surrogateescape") if isinstance(data, str) else data
        return {self._names[match] for match in self._pattern.findall(raw)}

    def around(self, text: str, characters: int = 60) -> list[str]:
        """Return what stands before each secret, so that a failure shows where the leak is and not the secret."""
        raw = text.encode(errors="surrogateescape")
        return [
            raw[max(0, match.start() - characters) : match.start()].decode(errors="replace")
            + f"<{self._names[match[0]]}>"
            for match in self._pattern.finditer(raw)
        ]


@dataclass
class Executions:
    """What the watcher saw: programs started, those gone before they could be read, and secrets in arguments."""

    seen: int = 0
    missed: int = 0
    leaks: list[dict[str, Any]] = field(default_factory=list)


class ExecutionWatcher:
    """Reads the arguments of every program that starts while it is entered."""

    def __init__(self, sentinel: Sentinel) -> None:
        self._sentinel = sentinel
        self.result = Executions()

    def __enter__(self) -> Self:
        # By standard input: an argument would be the leak that it looks for.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.sentinel"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(self._sentinel.secrets) + "\n")
        self._process.stdin.flush()
        if self._process.stdout.readline() != "watching\n":
            raise RuntimeError("the kernel's process connector cannot be used; run the tests as root")
        return self

    def __exit__(self, *error: object) -> None:
        output, _ = self._process.communicate()
        self.result = Executions(**json.loads(output))


class Bystander:
    """Reads, as a user without rights, the arguments and environments of all processes again and again."""

    def __init__(self, sentinel: Sentinel, command: Sequence[str] = (), every_seconds: float = 1.0) -> None:
        """`command` is what runs a program elsewhere, for example on a lab host; empty means here."""
        self._sentinel, self._command, self._every_seconds = sentinel, list(command), every_seconds
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._failure: Exception | None = None
        self.rounds = 0
        self.leaks: set[str] = set()

    def look(self) -> set[str]:
        """Look once."""
        read = "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null; true"
        drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "sh", "-c", read]
        ran = subprocess.run([*self._command, *drop], capture_output=True, check=True, cwd="/")
        if not ran.stdout:
            raise RuntimeError("the bystander saw no process at all")
        return self._sentinel.find(ran.stdout)

    def _watch(self) -> None:
        try:
            while not self._done.wait(self._every_seconds):
                self.leaks |= self.look()
                self.rounds += 1
        except (OSError, subprocess.SubprocessError, RuntimeError) as error:
            self._failure = error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        if self._failure and not error:
            raise RuntimeError("a bystander could not look") from self._failure


@dataclass(frozen=True)
class Finding:
    """A file that holds secrets."""

    path: str
    names: frozenset[str]
    readable_by_all: bool


def files_with_secrets(sentinel: Sentinel, root: Path) -> Iterator[Finding]:
    """Yield every file below `root` that holds a secret, and whether modes let everybody read it."""
    open_directories = {str(root): True}
    for directory, names, files in os.walk(root):
        reachable = open_directories.pop(directory)
        for name in names:
            below = Path(directory, name)
            mode = below.lstat().st_mode
            open_directories[str(below)] = reachable and stat.S_ISDIR(mode) and bool(mode & stat.S_IXOTH)
        for name in files:
            path = Path(directory, name)
            try:
                status = path.lstat()
                content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
            except FileNotFoundError:
                continue
            found = sentinel.find(content)
            if found:
                shown = str(path.relative_to(root))
                yield Finding(shown, frozenset(found), reachable and bool(status.st_mode & stat.S_IROTH))


def listen() -> socket.socket:
    """Return a socket on which the kernel tells of every program that starts."""
    connector = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_CONNECTOR)
    connector.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    connector.bind((os.getpid(), CN_IDX_PROC))
    order = struct.pack("=I", PROC_CN_MCAST_LISTEN)
    message = struct.pack("=IIIIHH", CN_IDX_PROC, CN_VAL_PROC, 0, 0, len(order), 0) + order
    connector.send(struct.pack("=IHHII", 16 + len(message), 3, 0, 0, os.getpid()) + message)
    return connector


def watch() -> Executions:
    """Watch until standard input ends."""
    sentinel, seen = Sentinel(json.loads(sys.stdin.readline())), Executions()
    # Ahead of everything else on this machine: a program that ends at once must be read before it is gone.
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
    connector = listen()
    print("watching", flush=True)
    while True:
        ready, _, _ = select.select([connector, sys.stdin], [], [])
        if connector in ready:
            event = connector.recv(4096)
            if struct.unpack_from("=I", event, EVENT_OFFSET)[0] == PROC_EVENT_EXEC:
                note(sentinel, seen, struct.unpack_from("=I", event, EVENT_OFFSET + 16)[0])
        elif sys.stdin in ready:
            return seen


def note(sentinel: Sentinel, seen: Executions, process: int) -> None:
    """Read the arguments of a program that has just started."""
    seen.seen += 1
    try:
        arguments = Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        arguments = b""
    if not arguments:
        seen.missed += 1
    names = sentinel.find(arguments)
    if names:
        program = arguments.split(b"\0")[0].decode(errors="replace")
        seen.leaks.append({"program": program, "names": sorted(names)})


if __name__ == "__main__":
    print(json.dumps(vars(watch())))
