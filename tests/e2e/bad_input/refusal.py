"""What every refused deploy has to show: one message with a way out, and a shop that nobody noticed anything of."""

from __future__ import annotations

import json
import re
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.shop import Run, Shop, copy_checkout
from tests.web import Web

MESSAGE = re.compile(r"^(?:FAILED|UNREACHABLE)  ", re.MULTILINE)
FAULT = "/run/pasargad-fault"
POINT_SECONDS = 240.0
SERVED_FROM_DISK = (
    "ls -d /srv/pasargad/releases/*.tmp /srv/pasargad/deps/*.tmp /srv/pasargad/.static.tmp 2> /dev/null; :"
)


def only_message(ran: Run, *words: str) -> str:
    """Return the one error of a refused run, which must hold these words and the next command."""
    assert ran.code != 0, ran.output
    heads = list(MESSAGE.finditer(ran.output))
    assert len(heads) == 1, ran.output
    message = ran.output[heads[0].start() :]
    assert [word for word in (*words, "\n  next  ") if word not in message] == [], message
    return message


def serving(shop: Shop) -> str:
    """Return the release that shoppers get."""
    status: Any = shop.status()
    return str(status["slots"][status["active"]]["release"])


def unharmed(shop: Shop, web: Web, release: str) -> None:
    """Assert that shoppers get `release` from pages that reach the database, and that nothing half-done is left."""
    status: Any = shop.status()
    assert status["slots"][status["active"]]["release"] == release
    assert status["slots"][status["active"]]["ready"]
    assert status["live"] == status["active"]
    assert (status["pending"], status["lock"], status["working"]) == (None, None, False)
    assert shop.on("store1", SERVED_FROM_DISK).output.strip() == ""
    for page in ("/", "/cart/"):
        assert web.shop(f"{page}?fresh={uuid.uuid4().hex}").status == 200


def changed_copy(shop: Shop, directory: Path, change: Callable[[Path], None]) -> Shop:
    """Return the same lab, deployed to from a changed copy of this checkout."""
    copy = copy_checkout(directory / "checkout")
    change(copy)
    return Shop(shop.lab, release=shop.release, inventory=shop.inventory, checkout=copy)


def appended(name: str, text: str) -> Callable[[Path], None]:
    """Return a change that adds text to a file of the checkout."""

    def change(checkout: Path) -> None:
        path = checkout / name
        path.write_text(f"{path.read_text()}\n{text}\n")

    return change


def good_change() -> Callable[[Path], None]:
    """Return a change that makes a new release of the same shop."""
    return appended("app/static/css/shop.css", f"/* {uuid.uuid4().hex} */")


class Deploy:
    """A deploy that runs beside the test."""

    def __init__(self, shop: Shop, *arguments: str) -> None:
        self.began = time.monotonic()
        self.process = shop.begin(
            "deploy.yml",
            *arguments,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )

    def end(self) -> Run:
        """Wait for its end."""
        output, _ = self.process.communicate(timeout=900)
        return Run(("ansible-playbook", "deploy.yml"), self.process.returncode, output, time.monotonic() - self.began)


@contextmanager
def held_at(shop: Shop, point: str, *arguments: str, host: str = "store1") -> Iterator[Deploy]:
    """Start a deploy and hold it on the host at a point of its journal (`phase:event`) while the body runs."""
    fault = json.dumps({"point": point, "action": "hold"})
    shop.on(host, f"rm -f {FAULT}.hit; echo '{fault}' > {FAULT}.json").require()
    deploy = Deploy(shop, *arguments)
    try:
        deadline = time.monotonic() + POINT_SECONDS
        while shop.on(host, f"test -e {FAULT}.hit").code != 0:
            assert deploy.process.poll() is None, deploy.end().output
            assert time.monotonic() < deadline, f"the deploy did not come to {point}"
            time.sleep(0.5)
        yield deploy
    finally:
        shop.on(host, f"rm -f {FAULT}.json {FAULT}.hit").require()
        if deploy.process.poll() is None and not deploy.process.stdout:
            deploy.process.kill()
