"""Serve a WSGI application on a unix socket with threads, told by the options that the operations give to gunicorn.

Slots start a hundred times in a test run, so this imports little: it understands GET and no more.
"""

from __future__ import annotations

import importlib
import os
import runpy
import socketserver
import sys
from pathlib import Path

options = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
settings = runpy.run_path(options["--config"])
sys.path.insert(0, str(Path.cwd()))
module, name = settings["wsgi_app"].split(":")
application = getattr(importlib.import_module(module), name)
path = Path(options["--bind"].removeprefix("unix:"))


class Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        _, target, _ = self.rfile.readline().decode().split()
        while self.rfile.readline().strip():
            pass
        head = []

        def start_response(status: str, headers: list[tuple[str, str]]) -> None:
            head.append(
                "".join([f"HTTP/1.0 {status}\r\n", *(f"{name}: {value}\r\n" for name, value in headers), "\r\n"])
            )

        body = b"".join(application({"PATH_INFO": target.partition("?")[0]}, start_response))
        self.wfile.write(head[0].encode() + body)


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128

    def service_actions(self) -> None:
        """End with the tests, also when they were killed: called twice a second."""
        if not Path("/proc", os.environ["PASARGAD_TESTS_PID"]).exists():
            os._exit(0)


path.unlink(missing_ok=True)
server = Server(str(path), Handler)
print(f"listening as {os.environ['PASARGAD_RELEASE']}", flush=True)
server.serve_forever()
