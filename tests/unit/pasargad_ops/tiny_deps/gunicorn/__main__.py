"""Serve a WSGI application on a unix socket with threads, told by the options that the operations give to gunicorn."""

from __future__ import annotations

import importlib
import os
import runpy
import socketserver
import sys
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler

options = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
settings = runpy.run_path(options["--config"])
sys.path.insert(0, str(Path.cwd()))
module, name = settings["wsgi_app"].split(":")
application = getattr(importlib.import_module(module), name)
path = Path(options["--bind"].removeprefix("unix:"))


class Handler(WSGIRequestHandler):
    def address_string(self) -> str:
        return "proxy"

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def get_environ(self) -> dict[str, Any]:
        self.client_address = ("proxy", 0)
        return super().get_environ()


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128
    base_environ = {"SERVER_NAME": "tiny", "SERVER_PORT": "443", "GATEWAY_INTERFACE": "CGI/1.1", "SCRIPT_NAME": ""}

    def get_app(self) -> object:
        return application


path.unlink(missing_ok=True)
server = Server(str(path), Handler)
print(f"listening as {os.environ['PASARGAD_RELEASE']}", flush=True)
server.serve_forever()
