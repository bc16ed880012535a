"""Shoppers who look at the shop all the time and remember every page they did not get."""

from __future__ import annotations

import threading
import time
import urllib.parse
import uuid
from http.client import HTTPException
from types import TracebackType

from tests.shop import DOMAIN
from tests.web import Web

PAUSE_SECONDS = 0.2


class Shoppers:
    """Ask for a page that the proxy may not answer from its cache, and put something into a cart, in turns while the
    body runs."""

    def __init__(self, web: Web, sku: str) -> None:
        self._web, self._stop = web, threading.Event()
        self._added = urllib.parse.urlencode({"variant": sku, "quantity": 1}).encode()
        self._thread = threading.Thread(target=self._shop, daemon=True)
        self.asked = 0
        self.missed: list[tuple[float, str]] = []

    def __enter__(self) -> Shoppers:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(60)

    def _shop(self) -> None:
        while not self._stop.wait(PAUSE_SECONDS):
            self.asked += 1
            try:
                problem = self._look() if self.asked % 2 else self._add()
            except (OSError, HTTPException) as error:
                problem = str(error) or type(error).__name__
            if problem:
                self.missed.append((time.monotonic(), problem))

    def _look(self) -> str:
        answer = self._web.shop(f"/cart/?fresh={uuid.uuid4().hex}")
        return "" if answer.status == 200 else f"GET: status {answer.status}"

    def _add(self) -> str:
        headers = {"Origin": f"https://{DOMAIN}", "Content-Type": "application/x-www-form-urlencoded"}
        answer = self._web.ask(f"https://{DOMAIN}/cart/add/", method="POST", headers=headers, body=self._added)
        return "" if answer.status in (302, 303) else f"POST: status {answer.status}"

    def missed_after(self, moment: float) -> list[str]:
        """Return what went wrong after a moment."""
        return [problem for at, problem in self.missed if at > moment]
