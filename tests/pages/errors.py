"""The pages of things gone wrong, each brought about by what brings it about on a host."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import BrowserContext, Page

from .client import Client
from .room import Room

FOREIGN = {"Origin": "https://elsewhere.example", "Content-Type": "application/x-www-form-urlencoded"}
OURS = {"Content-Type": "application/x-www-form-urlencoded"}
LOGIN = "/account/login/"
_known: dict[Path, dict[str, str]] = {}


def texts(room: Room) -> dict[str, str]:
    """Return every error page by name, as it was answered; each is asked for once in a room."""
    if room.directory not in _known:
        _known[room.directory] = _caused(room)
    return _known[room.directory]


def _caused(opened: Room) -> dict[str, str]:
    client = Client(opened, "")
    found = {"error-403": _asked(client, 403, "POST", "/cart/add/", "variant=x", FOREIGN)}
    found["error-400"] = _asked(client, 400, "POST", "/cart/add/", "&".join(f"f{n}=1" for n in range(600)), OURS)
    found["error-403-form"] = _asked(client, 403, "POST", LOGIN, "login=x", OURS)
    # The room allows one attempt a minute.
    found["error-429"] = _asked(client, 429, "POST", LOGIN, "login=x", OURS)
    flag = opened.directory / "edge" / "maintenance"
    flag.touch()
    found["edge-503"] = _asked(client, 503, "GET", "/")
    flag.unlink()
    before = (opened.directory / "run" / "live.sock").readlink()
    try:
        with opened.slot("closed", FEATURE_MAINTENANCE="true") as socket:
            opened.switch(socket)
            found["error-503"] = _asked(client, 503, "GET", "/orders/find/")
        found["edge-502"] = _asked(client, 502, "GET", "/orders/find/")
        with opened.slot("broken", DB_PORT="1") as socket:
            opened.switch(socket)
            found["error-500"] = _asked(client, 500, "GET", "/orders/" + "0" * 32 + "/")
    finally:
        opened.switch(before)
    return found


def _asked(
    client: Client, status: int, method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None
) -> str:
    answer = client.ask(method, path, body, headers)
    assert answer.status == status, f"{method} {path} answers {answer.status}, wanted {status}: {answer.text[:300]}"
    return answer.text


def shown(context: BrowserContext, room: Room) -> Iterator[tuple[str, Page]]:
    """Show every error page in a browser, with the shop's own styles."""
    for name, text in texts(room).items():
        page = context.new_page()
        address = f"{room.url}/shown-by-a-test/"
        page.route(address, lambda route, _, text=text: route.fulfill(body=text, content_type="text/html"))
        page.goto(address)
        yield name, page
