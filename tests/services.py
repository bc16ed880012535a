"""Private throw-away PostgreSQL and Redis on Unix sockets, for tests that need the real things.

    python3 -m tests.services run -- pytest app

The command sees DB_HOST (a socket directory), DB_PORT, DB_USER, DB_PASSWORD, DB_NAME, REDIS_SOCKET, and REDIS_URL,
CACHE_URL, SESSION_REDIS_URL, LIMITS_REDIS_URL (one server, logical databases 0, 0, 1, 2). Nothing listens on the
network, and nothing is left behind.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

USER = "pasargad"
DATABASE = "pasargad"
PORT = "5432"
START_SECONDS = 30
# Speed over durability: this data is never read again.
POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_connections": "60",
    "timezone": "UTC",
    "log_min_messages": "warning",
}


class ServiceError(RuntimeError):
    """A service cannot be started; the message names the command that mends it."""


def postgres_programs() -> Path:
    """Return the directory of the newest PostgreSQL server's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    if not found:
        raise ServiceError("PostgreSQL's server is not installed. Run: bin/setup --tests")
    return found[-1].parent


def as_user(name: str) -> list[str]:
    """Command prefix that drops root; PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return []
    entry = pwd.getpwnam(name)
    return ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--init-groups", "--"]


@contextlib.contextmanager
def postgres(directory: Path) -> Iterator[dict[str, str]]:
    """Run a PostgreSQL server in `directory`; yields the environment that reaches it."""
    programs, prefix = postgres_programs(), as_user("postgres")
    data, sockets = directory / "data", directory / "postgres"
    for path in (data, sockets):
        path.mkdir(mode=0o700)
        if prefix:
            shutil.chown(path, "postgres", "postgres")
    sockets.chmod(0o755)
    initdb = [*prefix, str(programs / "initdb"), "--pgdata", str(data), "--username", USER, "--auth", "trust"]
    checked([*initdb, "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync", "--data-checksums"])
    settings = [f"--{name}={value}" for name, value in POSTGRES_SETTINGS.items()]
    command = [*prefix, str(programs / "postgres"), "-D", str(data), f"--unix_socket_directories={sockets}", *settings]
    with service(command, directory / "postgres.log", sockets / f".s.PGSQL.{PORT}", signal.SIGINT):
        psql = [str(programs / "psql"), "-h", str(sockets), "-U", USER, "-d", "postgres", "-q", "-c"]
        until_ok([*psql, "SELECT 1"], "PostgreSQL")
        checked([*psql, f"CREATE DATABASE {DATABASE}"])
        yield {
            "DB_HOST": str(sockets),
            "DB_PORT": PORT,
            "DB_USER": USER,
            "DB_PASSWORD": "unused-on-a-trusted-socket",
            "DB_NAME": DATABASE,
        }


@contextlib.contextmanager
def redis(directory: Path) -> Iterator[dict[str, str]]:
    """Run a Redis server in `directory`; yields the environment that reaches it."""
    if shutil.which("redis-server") is None:
        raise ServiceError("redis-server is not installed. Run: bin/setup --tests")
    path = directory / "redis.sock"
    options = {"port": "0", "unixsocket": str(path), "save": "", "appendonly": "no", "dir": str(directory)}
    command = ["redis-server", *(word for name, value in options.items() for word in (f"--{name}", value))]
    with service(command, directory / "redis.log", path, signal.SIGTERM):
        names = ("REDIS_URL", "CACHE_URL", "SESSION_REDIS_URL", "LIMITS_REDIS_URL")
        numbers = (0, 0, 1, 2)
        urls = {name: f"unix://{path}?db={number}" for name, number in zip(names, numbers, strict=True)}
        yield {"REDIS_SOCKET": str(path), **urls}


@contextlib.contextmanager
def service(command: Sequence[str], log: Path, listening: Path, stop: signal.Signals) -> Iterator[None]:
    """Run a server until the block ends; it is up when its socket exists."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not connects(listening):
            if process.poll() is not None or time.monotonic() > deadline:
                raise ServiceError(f"{command[-1]} did not start:\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.03)
        yield
    finally:
        process.send_signal(stop)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def connects(path: Path) -> bool:
    """Whether somebody listens on a Unix socket."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


def until_ok(command: Sequence[str], what: str) -> None:
    """Repeat a command until it succeeds."""
    deadline = time.monotonic() + START_SECONDS
    while subprocess.run(command, capture_output=True, check=False).returncode != 0:
        if time.monotonic() > deadline:
            raise ServiceError(f"{what} does not answer after {START_SECONDS} s.")
        time.sleep(0.05)


def checked(command: Sequence[str]) -> None:
    """Run a command that must succeed."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise ServiceError(f"`{' '.join(command)}` failed: {result.stderr.strip()[-1000:]}")


@contextlib.contextmanager
def services() -> Iterator[dict[str, str]]:
    """Run PostgreSQL and Redis in a private directory; yields the environment that reaches both."""
    directory = Path(tempfile.mkdtemp(prefix="pasargad-services-"))
    directory.chmod(0o755)
    try:
        with postgres(directory) as database, redis(directory) as cache:
            yield {**database, **cache}
    finally:
        shutil.rmtree(directory)


def stop_on_signal(number: int, frame: object) -> None:
    """Turn a termination signal into an ordinary exit, so that the services are stopped."""
    raise SystemExit(128 + number)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command with the services around it; its exit code is ours."""
    parser = argparse.ArgumentParser(
        prog="tests.services", description="Run a command with private PostgreSQL and Redis."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run")
    run.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    argv = [word for index, word in enumerate(parser.parse_args(arguments).argv) if index or word != "--"]
    if not argv:
        parser.error("which command? For example: python3 -m tests.services run -- pytest app")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop_on_signal)
    try:
        with services() as environment:
            return subprocess.run(argv, env={**os.environ, **environment}, check=False).returncode
    except ServiceError as error:
        print(f"tests.services: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
