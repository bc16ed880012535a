"""The shop as a host serves it, on this machine: PostgreSQL, Redis, the payment provider, gunicorn, nginx with TLS.

Settings are those of production with a workbench's values; static files are built by the release build's own code;
nginx runs the role's templates on an address of the loopback that is taken for this run alone.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.services import connects, services

from . import certificates, edge
from .certificates import Certificates
from .tools import ROOT

DOMAIN = "shop.pasargad.test"
START_SECONDS = 40.0
APP = ROOT / "app"
sys.path[:0] = [str(APP), str(ROOT / "module_utils")]


@dataclass
class Room:
    """A running shop; `stock` is what `tests.pages.stock` told of what it put there."""

    directory: Path
    address: str
    certificates: Certificates
    environment: dict[str, str]
    stock: dict[str, Any] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"https://{DOMAIN}"

    @property
    def app(self) -> Path:
        return self.directory / "app"

    def browser_arguments(self) -> list[str]:
        """What makes Chromium find the shop, and believe its certificate without becoming deaf to others' faults."""
        return [
            "--no-sandbox",
            f"--host-resolver-rules=MAP {DOMAIN} {self.address}",
            f"--ignore-certificate-errors-spki-list={self.certificates.spki}",
            "--force-color-profile=srgb",
        ]

    def manage(self, *arguments: str, module: bool = False) -> str:
        """Run manage.py, or a module with the shop's settings; returns what it printed."""
        command = [sys.executable, *(("-m",) if module else ("manage.py",)), *arguments]
        done = subprocess.run(
            command, cwd=self.app, env=self.environment, capture_output=True, text=True, timeout=600, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(arguments)} failed:\n{(done.stdout + done.stderr)[-4000:]}")
        return done.stdout

    @contextmanager
    def slot(self, name: str, **changes: str) -> Iterator[Path]:
        """Run the shop on a socket of its own, with changes to its environment; yields the socket."""
        path = self.directory / "run" / f"{name}.sock"
        log = self.directory / f"slot-{name}.log"
        environment = {**self.environment, "PASARGAD_SLOT": name, **changes}
        command = [sys.executable, "-m", "gunicorn", "--config", "config/gunicorn.py", "--bind", f"unix:{path}"]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, cwd=self.app, env=environment, stdout=output, stderr=output, start_new_session=True
            )
        try:
            deadline = time.monotonic() + START_SECONDS
            while not connects(path):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the shop did not start:\n{log.read_text(errors='replace')[-4000:]}")
                time.sleep(0.1)
            # On a host the server runs in the proxy's group.
            shutil.chown(path, group="www-data")
            yield path
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def switch(self, socket: Path) -> None:
        """Let the public name lead to a slot, as a deploy does: by one rename."""
        link = self.directory / "run" / "live.sock"
        temporary = link.with_suffix(".new")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(socket)
        temporary.rename(link)


@contextmanager
def room(*, goods: int = 0) -> Iterator[Room]:
    """Open the shop with `goods` of the demonstration's goods (0: all) and orders in every state."""
    directory = Path(tempfile.mkdtemp(prefix="pasargad-pages-"))
    directory.chmod(0o755)
    try:
        with ExitStack() as stack:
            opened = _prepare(directory, stack.enter_context(services()), stack)
            opened.manage("migrate", "--verbosity", "0")
            told = opened.manage("tests.pages.stock", str(goods), str(directory), module=True)
            opened.stock = json.loads(told.strip().splitlines()[-1])
            _shelve_media(directory)
            opened.switch(stack.enter_context(opened.slot("blue", PASARGAD_RELEASE="pages-1")))
            yield opened
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _prepare(directory: Path, found: dict[str, str], stack: ExitStack) -> Room:
    from testing.provider import SECRET_KEY, WEBHOOK_SECRET, provider

    made = certificates.make(directory / "tls", DOMAIN)
    address = f"127.{random.randint(10, 250)}.{random.randint(1, 250)}.{random.randint(1, 250)}"
    shutil.copytree(APP, directory / "app", ignore=shutil.ignore_patterns("__pycache__", "staticfiles", "tests"))
    _build_static(directory)
    run = directory / "run"
    run.mkdir()
    (directory / "provider").mkdir()
    opened = Room(directory, address, made, {})
    main = edge.render(directory, DOMAIN, address, run / "live.sock", made)
    stack.enter_context(edge.edge(main, address))
    paying = stack.enter_context(provider(directory / "provider"))
    opened.environment = _environment(opened, found, paying.url, SECRET_KEY, WEBHOOK_SECRET)
    return opened


def _environment(opened: Room, found: dict[str, str], pay: str, secret: str, hook_secret: str) -> dict[str, str]:
    """Return every name that production asks for: the workbench's harmless values, made strict where hosts are."""
    from config.settings.workbench import WORKBENCH

    ours = {
        "DJANGO_SETTINGS_MODULE": "config.settings.production",
        "PASARGAD_ENVIRONMENT": "pages",
        "ALLOWED_HOSTS": DOMAIN,
        "SITE_URL": opened.url,
        "CSRF_TRUSTED_ORIGINS": opened.url,
        "MEDIA_ROOT": str(opened.directory / "media"),
        "SECURE_SSL_REDIRECT": "true",
        "SECURE_HSTS_SECONDS": "31536000",
        "COOKIES_SECURE": "true",
        "DB_SSLMODE": "disable",
        "DB_DISABLE_SERVER_SIDE_CURSORS": "false",
        **{name: found[name] for name in ("DB_NAME", "DB_USER", "DB_PASSWORD", "DB_HOST", "DB_PORT")},
        "REDIS_CACHE_URL": found["CACHE_URL"],
        "REDIS_SESSIONS_URL": found["SESSION_REDIS_URL"],
        "REDIS_LIMITS_URL": found["LIMITS_REDIS_URL"],
        "STRIPE_SECRET_KEY": secret,
        "STRIPE_WEBHOOK_SECRET": hook_secret,
        "STRIPE_API_BASE": pay,
        "STRIPE_PAYMENT_PAGE_URL": f"{pay}/pay",
        # A crawler asks more often than any shopper; the limit of logins stays, and shows its page.
        "RATE_LIMIT_CART": "100000/minute",
        "RATE_LIMIT_CHECKOUT": "100000/minute",
        "RATE_LIMIT_ORDER_LOOKUP": "100000/minute",
        "RATE_LIMIT_SEARCH": "100000/minute",
        "RATE_LIMIT_LOGIN": "1/minute",
        "LOG_FORMAT": "json",
    }
    path = os.pathsep.join([str(opened.app), str(ROOT)])
    return {**os.environ, **WORKBENCH, **ours, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}


def _build_static(directory: Path) -> None:
    """Collect and compress as the release build does, and put the files where the proxy looks for them."""
    from pasargad_build.static import collect

    _, members = collect(directory / "app", Path(sys.executable))
    for member in members:
        target = directory / "srv" / "static" / member.name
        target.parent.mkdir(parents=True, exist_ok=True)
        assert isinstance(member.source, bytes)
        target.write_bytes(member.source)


def _shelve_media(directory: Path) -> None:
    """Let the proxy read the uploads, which the shop writes for itself alone."""
    media = directory / "media"
    media.mkdir(exist_ok=True)
    for path in [media, *media.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    (directory / "srv" / "media").symlink_to(media)
