"""`python3 -m outside SERVICE` runs one service of the lab's outside world; `received` shows what arrived."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any, Protocol

from .web import Handler, Server

DEFAULT_CONFIG = Path("/etc/outside/outside.json")
SERVICES = ("payments", "mail", "hooks", "s3", "board")


class Service(Protocol):
    """What every service offers to the process that runs it."""

    def start(self) -> None:
        """Begin the work beside requests."""

    def stop(self) -> None:
        """End it."""


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="outside", description=__doc__)
    parser.add_argument("--config", type=Path, default=DEFAULT_CONFIG)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in SERVICES:
        commands.add_parser(name, help=f"run the {name} service")
    received = commands.add_parser("received", help="show what arrived")
    received.add_argument("name", nargs="?", help="mails, payments, deliveries, hooks, buckets or certificates")
    received.add_argument("--json", action="store_true", help="print the whole records")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        config = json.loads(options.config.read_text(encoding="utf-8"))
    except OSError as error:
        parser.error(f"cannot read {options.config}: {error.strerror}; name the file with --config")
    if options.command == "received":
        from .terminal import show

        return show(config["board"], options.name, as_json=options.json)
    return run(options.command, config)


def run(name: str, config: dict[str, Any]) -> int:
    """Run one service until SIGTERM or SIGINT."""
    own = config[name]
    # Blocked before any thread exists and waited for here: a signal may reach any thread, and a handler would run
    # only when the main thread happens to wake.
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    service, handler, largest = build(name, config)
    server = Server((own["host"], own["port"]), handler, largest) if handler else None
    service.start()
    if server:
        threading.Thread(target=server.serve_forever, args=(0.1,), name="http", daemon=True).start()
    notify_ready()
    signal.sigwait(ends)
    if server:
        server.shutdown()
    service.stop()
    return 0


def build(name: str, config: dict[str, Any]) -> tuple[Service, Handler | None, int]:
    """Return a service, its HTTP handler if it has one, and the largest body that may be sent to it."""
    own, folder = config[name], Path(config["state_dir"])
    if name == "payments":
        from .payments.service import Provider, Settings

        provider = Provider(
            Settings(
                database=folder / "payments.sqlite3",
                secret_key=own["secret_key"],
                page_url=own["page_url"],
                merchant=own["merchant"],
                endpoints=own["endpoints"],
                backoff=own["backoff_seconds"],
                trust=[Path(path) for path in own["trust"]],
            )
        )
        return provider, provider, 1 << 20
    if name == "hooks":
        from . import hooks

        sink = hooks.HookSink(folder / "hooks.sqlite3")
        return sink, sink, hooks.LARGEST_BODY
    if name == "mail":
        from .mail import MailService
        from .mail import Settings as MailSettings

        settings = {**own, "certificate": Path(own["certificate"]), "key": Path(own["key"])}
        return MailService(MailSettings(database=folder / "mail.sqlite3", **settings)), None, 0
    if name == "s3":
        from .s3 import S3Service

        return S3Service(**own), None, 0
    return build_board(config, folder)


def build_board(config: dict[str, Any], folder: Path) -> tuple[Service, Handler | None, int]:
    """Return the board over all services' records."""
    from . import acme
    from .board import Board
    from .received import Received, fetch_json
    from .s3 import BOARD_PATH

    own = config["board"]
    board = Board(
        Received(
            folder,
            lambda: fetch_json(own["s3_url"] + BOARD_PATH),
            lambda: acme.issued(own["acme_management_url"], Path(own["authority"])),
        )
    )
    return board, board, 1 << 16


def notify_ready() -> None:
    """Tell systemd that requests will be answered from now on."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.sendto(b"READY=1", "\0" + address[1:] if address.startswith("@") else address)


if __name__ == "__main__":
    sys.exit(main())
