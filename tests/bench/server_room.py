"""A room on a deployed host in which application servers run the deployed release, one after another.

A candidate is a transient unit with the running slot's own user, environment and sandbox, but with another command and
a socket of its own, behind a private nginx that caches nothing. Every unit is bound to a keeper that lives as long as
this process holds its standard input, and whose end removes the directory with sockets and wheels: nothing is left on
the host, not even after SIGKILL. Wheels that are no part of the shop come from the control node.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pasargad_lab.lab import Lab
from tests.shop import REPOSITORY, Shop

UNIT = "pasargad-bench-server"
DIRECTORY = Path("/run") / UNIT
SOCKET = DIRECTORY / "web.sock"
PORT = 8099
START_SECONDS = 120.0
# A candidate has the slot's settings except those that belong to the slot's command.
OF_THE_COMMAND = re.compile(r"(Type|NotifyAccess|Exec\w+|Restart\w*|Timeout\w+|Environment)=")
WHEELS = {"granian": "granian==2.8.9", "uwsgi": "pyuwsgi==2.0.30.post1"}
UV = REPOSITORY / ".cache" / "uv" / "bin" / "uv"

NGINX = f"""
user www-data;
worker_processes auto;
pid {DIRECTORY}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    upstream candidate {{ server unix:{SOCKET} max_fails=0; }}
    server {{
        listen 127.0.0.1:{PORT};
        location / {{
            proxy_http_version 1.1;
            proxy_set_header Connection close;
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto https;
            proxy_buffers 16 16k;
            proxy_buffer_size 16k;
            proxy_next_upstream error;
            proxy_pass http://candidate;
        }}
    }}
}}
"""

# Runs on the host: how many processes a main process has with its own, their memory in MB, their CPU time in seconds.
PROCESSES = r"""
import json, os, pathlib, re, sys
main = pathlib.Path('/proc', sys.argv[1])
found = [main] + [main.parent / p for t in main.glob('task/*/children') for p in t.read_text().split()]
total = {'processes': len(found), 'rss_mb': 0.0, 'pss_mb': 0.0, 'cpu_s': 0.0}
for process in found:
    rollup = (process / 'smaps_rollup').read_text()
    for name in ('Rss', 'Pss'):
        total[name.lower() + '_mb'] += int(re.search('^' + name + r':\s+(\d+)', rollup, re.M)[1]) / 1024
    ticks = (process / 'stat').read_text().rpartition(')')[2].split()[11:13]
    total['cpu_s'] += sum(map(int, ticks)) / os.sysconf('SC_CLK_TCK')
print(json.dumps(total))
"""


@dataclass(frozen=True)
class Candidate:
    """An application server with its parallelism; `server` is one of gthread, sync, granian, uwsgi."""

    server: str
    workers: int
    threads: int

    @property
    def name(self) -> str:
        return f"{self.server} {self.workers}x{self.threads}"

    def command(self) -> list[str]:
        """Return the command that serves the shop at SOCKET, run in the release's app directory."""
        workers, threads = str(self.workers), str(self.threads)
        if self.server in ("gthread", "sync"):
            size = ["--worker-class", self.server, "--workers", workers, "--threads", threads]
            server = ["-m", "gunicorn", "--config", "config/gunicorn.py", "--bind", f"unix:{SOCKET}", *size]
        elif self.server == "granian":
            size = ["--workers", workers, "--blocking-threads", threads, "--backlog", "2048"]
            listen = ["--uds", str(SOCKET), "--uds-permissions", "660", "--http", "1", "--no-ws"]
            server = ["-m", "granian", "--interface", "wsgi", *size, *listen, "config.wsgi:application"]
        else:
            size = ["--processes", workers, "--threads", threads, "--enable-threads", "--lazy-apps", "--listen", "1024"]
            listen = ["--http11-socket", str(SOCKET), "--chmod-socket=660", "--master", "--die-on-term"]
            run = ["-c", "import pyuwsgi; pyuwsgi.run()", "--need-app", "--disable-logging"]
            server = [*run, *listen, *size, "--module", "config.wsgi:application"]
        return ["/usr/bin/python3", *server]


def candidates(cores: int) -> list[Candidate]:
    """Return the grid for a machine: around two workers a core with eight threads, and peers of equal parallelism."""
    grid = [(2 * cores, 8), (cores, 8), (2 * cores, 4), (cores, 4), (1, 8 * cores)]
    gthread = [Candidate("gthread", workers, threads) for workers, threads in grid]
    peers = [Candidate(server, 2 * cores, 8) for server in WHEELS]
    return [*gthread, Candidate("sync", 2 * cores, 1), *peers]


def wheels(python: str) -> Path:
    """Return a directory with the servers that are no part of the shop, for that Python; downloaded once."""
    target = REPOSITORY / ".build" / "bench-server" / f"{python}-{'-'.join(sorted(WHEELS.values()))}"
    if not target.is_dir():
        partial = target.with_name(f"{target.name}.{os.getpid()}.tmp")
        install = [str(UV), "pip", "install", "--quiet", "--no-config", "--python", "/usr/bin/python3"]
        options = ["--python-version", python, "--only-binary", ":all:", "--target", str(partial)]
        # The machine's own authorities count, as in bin/setup.
        authorities = os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
        try:
            command = [*install, *options, *WHEELS.values()]
            subprocess.run(command, check=True, env={**os.environ, "SSL_CERT_FILE": authorities, "VIRTUAL_ENV": ""})
            partial.rename(target)
        finally:
            if partial.exists():
                shutil.rmtree(partial)
    return target


def wait_until(true: Callable[[], bool], what: str, *, alive: Callable[[], bool]) -> None:
    """Wait for something that a running process brings about; raises TimeoutError when it is late or has died."""
    deadline = time.monotonic() + START_SECONDS
    while not true():
        if not alive():
            raise TimeoutError(f"it ended before {what}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"{START_SECONDS:g} s were not enough for {what}")
        time.sleep(0.2)


class Room:
    """Where candidates run beside the slot of a deployed lab."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        leader = Lab(shop.lab).host("store1").pid()
        assert leader is not None, "store1 is off"
        self.leader, self.root = leader, Path(f"/proc/{leader}/root")
        slot = str(shop.status()["active"])
        self.slot_unit = f"pasargad-web@{slot}.service"
        pid = self._on(f"systemctl show -P MainPID {self.slot_unit}")
        self.app = self._on(f"readlink /proc/{pid}/cwd")
        names = "PYTHONPATH|PASARGAD_SLOT|PASARGAD_RELEASE|GUNICORN_THREADS"
        lines = self._on(f"tr '\\0' '\\n' </proc/{pid}/environ | grep -E '^({names})='").splitlines()
        self.environment = dict(line.split("=", 1) for line in lines)
        self.settings = slot_settings(self._on(f"systemctl cat {self.slot_unit}"), slot)

    @property
    def socket(self) -> Path:
        """The candidate's socket as this machine reaches it."""
        return self._here(SOCKET)

    def _here(self, path: Path) -> Path:
        return self.root / path.relative_to("/")

    def _on(self, command: str) -> str:
        return self.shop.on("store1", command).require().output.strip()

    def processes(self, unit: str) -> dict[str, float]:
        """Count a unit's processes, their memory and their CPU time."""
        command = ["python3", "-c", PROCESSES, self._on(f"systemctl show -P MainPID {unit}")]
        return json.loads(self._on(shlex.join(command)))

    def shipped(self) -> Candidate:
        """Return the candidate that the slot itself is."""
        workers = int(self.processes(self.slot_unit)["processes"]) - 1
        return Candidate("gthread", workers, int(self.environment["GUNICORN_THREADS"]))

    @contextlib.contextmanager
    def kept(self, *, most_seconds: int) -> Iterator[None]:
        """Keep the directory and the private nginx until the block or this process ends."""
        owner = [line for line in self.settings if line.startswith(("User=", "Group="))]
        settings = [*owner, f"RuntimeDirectory={UNIT}", f"RuntimeMaxSec={most_seconds}"]
        # `cat` ends when the one who holds its standard input is gone.
        command = ["systemd-run", "--quiet", "--collect", "--pipe", "--wait", f"--unit={UNIT}", *properties(settings)]
        keeper = subprocess.Popen(
            self.shop.lab_command("exec", "store1", "--", *command, "cat"),
            env={**os.environ, "PYTHONPATH": str(REPOSITORY / "module_utils")},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert keeper.stdin is not None
        try:
            wait_until(self._here(DIRECTORY).is_dir, "its directory was there", alive=lambda: keeper.poll() is None)
            python = self._on("python3 -c 'import sys; print(\"%d.%d\" % sys.version_info[:2])'")
            shutil.copytree(wheels(python), self._here(DIRECTORY / "wheels"))
            self._here(DIRECTORY / "nginx.conf").write_text(NGINX)
            nginx = ["nginx", "-c", f"{DIRECTORY}/nginx.conf", "-g", "daemon off;"]
            self._start(f"{UNIT}-nginx", [f"RuntimeMaxSec={most_seconds}"], nginx)
            yield
        finally:
            keeper.stdin.close()
            keeper.wait(60)

    def _start(self, unit: str, settings: Sequence[str], command: Sequence[str]) -> None:
        bound = [f"BindsTo={UNIT}.service", f"After={UNIT}.service", *settings]
        self._on(shlex.join(["systemd-run", "--quiet", "--collect", f"--unit={unit}", *properties(bound), *command]))

    @contextlib.contextmanager
    def running(self, candidate: Candidate, answers: Callable[[], bool], *, most_seconds: int) -> Iterator[str]:
        """Run a candidate until the block ends, loaded and idle before it begins; yields its unit."""
        unit = f"{UNIT}-candidate"
        self.socket.unlink(missing_ok=True)
        path = f"{self.environment['PYTHONPATH']}:{DIRECTORY}/wheels"
        environment = {**self.environment, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
        settings = [
            *self.settings,
            *(f"Environment={name}={value}" for name, value in environment.items()),
            *("Type=exec", f"WorkingDirectory={self.app}", f"ReadWritePaths={DIRECTORY}"),
            *("TimeoutStopSec=15", f"RuntimeMaxSec={most_seconds}"),
        ]
        self._start(unit, settings, candidate.command())
        try:
            self._await_loaded(unit, candidate, answers)
            yield unit
        finally:
            self.shop.on("store1", f"systemctl stop {unit}")

    def _await_loaded(self, unit: str, candidate: Candidate, answers: Callable[[], bool]) -> None:
        """Wait until it answers, all workers are there, and none is busy with loading the shop any more."""
        seen: list[dict[str, float]] = []

        def idle() -> bool:
            seen.append(self.processes(unit))
            if len(seen) > 1 and seen[-1]["cpu_s"] - seen[-2]["cpu_s"] < 0.05:
                return seen[-1]["processes"] > candidate.workers
            time.sleep(0.5)
            return False

        try:
            wait_until(answers, "it answered", alive=lambda: self._lives(unit))
            wait_until(idle, "its workers had loaded the shop", alive=lambda: self._lives(unit))
        except TimeoutError as error:
            journal = self._on(f"journalctl -u {unit} -n 30 -o cat --no-pager")
            raise SystemExit(f"bench-server: {candidate.name}: {error}\n{journal}") from error

    def _lives(self, unit: str) -> bool:
        return self.shop.on("store1", f"systemctl is-active --quiet {unit}").code == 0


def properties(settings: Sequence[str]) -> list[str]:
    return [f"--property={setting}" for setting in settings]


def slot_settings(text: str, slot: str) -> list[str]:
    """Return the [Service] settings of a unit's text that a candidate takes over."""
    section, kept = "", []
    for line in text.splitlines():
        if line.startswith("["):
            section = line
        elif section == "[Service]" and re.match(r"\w+=", line) and not OF_THE_COMMAND.match(line):
            kept.append(line.replace("%i", slot))
    return kept
