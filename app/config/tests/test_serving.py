"""The application server with production settings on its unix socket, as a slot runs it."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.db import connection
from testing.factories import make_variant

from .test_env import APP, PRODUCTION

HEADERS = {"Host": "shop.example", "X-Forwarded-Proto": "https"}


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=20)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


def ask(path: Path, url: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
    client = UnixConnection(path)
    try:
        client.request("GET", url, headers=headers or HEADERS)
        answer = client.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        client.close()


def environment(tmp_path: Path) -> dict[str, str]:
    database = connection.settings_dict
    own = {
        **PRODUCTION,
        **{f"DB_{name}": str(database[name]) for name in ("NAME", "USER", "PASSWORD", "HOST", "PORT")},
        "REDIS_CACHE_URL": django_settings.CACHES["default"]["LOCATION"],
        "REDIS_SESSIONS_URL": django_settings.CACHES["sessions"]["LOCATION"],
        "REDIS_LIMITS_URL": django_settings.REDIS_LIMITS_URL,
        "MEDIA_ROOT": str(tmp_path / "media"),
        "GUNICORN_WORKERS": "1",
        "PATH": os.environ["PATH"],
        "PASARGAD_SLOT": "green",
        "PASARGAD_RELEASE": "r1",
    }
    own.pop("DJANGO_SETTINGS_MODULE")
    return {**own, "DJANGO_SETTINGS_MODULE": "config.settings.production"}


def release(tmp_path: Path) -> Path:
    """Copy the project as a release has it: with its static files collected, and away from the working copy."""
    target = tmp_path / "app"
    shutil.copytree(APP, target, ignore=shutil.ignore_patterns("staticfiles", "__pycache__", "tests", "demo"))
    environment = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "config.settings.build"}
    command = [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity", "0"]
    subprocess.run(command, cwd=target, env=environment, check=True)
    return target


@pytest.mark.django_db(transaction=True)
def test_a_slot_serves_and_stops_without_losing_a_request(tmp_path):
    make_variant()
    path = tmp_path / "web.sock"
    command = [sys.executable, "-m", "gunicorn", "--config", "config/gunicorn.py", "--bind", f"unix:{path}"]
    log = (tmp_path / "log").open("wb")
    process = subprocess.Popen(command, cwd=release(tmp_path), env=environment(tmp_path), stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                status, headers, body = ask(path, "/health/ready")
                break
            except OSError:
                assert time.monotonic() < deadline and process.poll() is None, (tmp_path / "log").read_text()
                time.sleep(0.1)
        assert status == 200 and headers["X-Pasargad-Slot"] == "green", body
        assert headers["X-Pasargad-Release"] == "r1"
        assert int(headers["X-Pasargad-Worker"]) != process.pid
        assert path.stat().st_mode & 0o777 == 0o770
        assert ask(path, "/robots.txt")[0] == ask(path, "/")[0] == 200
        assert ask(path, "/robots.txt", {"Host": "shop.example"})[0] == 301
        assert ask(path, "/robots.txt", {"Host": "evil.example", "X-Forwarded-Proto": "https"})[0] == 400

        # A request whose body is still on its way when the stop comes must be answered.
        slow = UnixConnection(path)
        slow.putrequest("POST", "/cart/add/")
        for name, value in {**HEADERS, "Content-Length": "9", "Content-Type": "text/plain"}.items():
            if name != "Host":
                slow.putheader(name, value)
        slow.endheaders()
        slow.send(b"slow")
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        threading.Timer(1.0, lambda: slow.send(b" body")).start()
        assert slow.getresponse().status in (400, 404)
        assert process.wait(30) == 0
    finally:
        process.kill()
        log.close()


@pytest.mark.django_db(transaction=True)
def test_a_shop_that_cannot_start_says_why_and_ends(tmp_path):
    broken = release(tmp_path)
    with (broken / "config" / "wsgi.py").open("a") as module:
        module.write('\nraise RuntimeError("broken on purpose")\n')
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "--config",
        "config/gunicorn.py",
        "--bind",
        f"unix:{tmp_path / 'sock'}",
    ]
    ended = subprocess.run(
        command, cwd=broken, env=environment(tmp_path), capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 1
    assert "Traceback" in ended.stderr and "RuntimeError: broken on purpose" in ended.stderr
    assert not (tmp_path / "sock").exists()
