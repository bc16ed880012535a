#!/usr/bin/python3
"""A slot of a tiny shop: `slot.py blue` answers on /run/pasargad/blue/web.sock and tells what it was asked."""

from __future__ import annotations

import http.server
import itertools
import json
import socketserver
import sys
import time
import urllib.parse
from pathlib import Path

SLOT = sys.argv[1]
COUNT = itertools.count(1)


class Shop(http.server.BaseHTTPRequestHandler):
    """`?status=`, `cache=`, `cookie=`, `vary=`, `sleep=` in the address choose the answer."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        body_in = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        wish = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        time.sleep(float(wish.get("sleep", 0)))
        failing = Path("/run/pasargad/failing").exists()
        told = {"slot": SLOT, "n": next(COUNT), "method": self.command, "received": len(body_in)}
        told["headers"] = {name.lower(): value for name, value in self.headers.items()}
        body = json.dumps(told).encode()
        self.send_response(503 if failing else int(wish.get("status", 200)))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Pasargad-Slot", SLOT)
        self.send_header("X-Pasargad-Release", f"release-{SLOT}")
        self.send_header("Strict-Transport-Security", "max-age=1")
        for name, key in (("Cache-Control", "cache"), ("Set-Cookie", "cookie"), ("Vary", "vary")):
            if key in wish:
                self.send_header(name, wish[key])
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_POST = do_HEAD = answer

    def address_string(self) -> str:
        return "edge"

    def log_message(self, *_: object) -> None:
        """The edge keeps the log."""


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128


path = Path("/run/pasargad") / SLOT / "web.sock"
path.parent.mkdir(parents=True, exist_ok=True)
path.unlink(missing_ok=True)
server = Server(str(path), Shop)
path.chmod(0o777)
server.serve_forever()
