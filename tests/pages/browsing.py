"""A browser that finds the room's shop, and a shopper in it with a filled cart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, sync_playwright

from .room import Room
from .tools import CHROMIUM, ToolMissing


@contextmanager
def browser(room: Room, *more: str) -> Iterator[Browser]:
    """Start Debian's Chromium for the room."""
    if not CHROMIUM.exists():
        raise ToolMissing(f"{CHROMIUM} is not installed. Run: bin/setup --tests")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(CHROMIUM), args=[*room.browser_arguments(), *more])
        yield started
        started.close()


@contextmanager
def persistent(room: Room, profile: Path, port: int) -> Iterator[BrowserContext]:
    """Start Chromium with a profile of its own and a door for Lighthouse, which then sees the same cookies."""
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(profile),
            executable_path=str(CHROMIUM),
            args=[*room.browser_arguments(), f"--remote-debugging-port={port}"],
            service_workers="block",
        )
        yield context
        context.close()


def fill_cart(context: BrowserContext, room: Room) -> str:
    """Put something into the cart and on the wish list of a context; returns its cookies, as a header has them."""
    page = context.new_page()
    page.goto(f"{room.url}/p/{room.stock['other']}/")
    page.get_by_role("button", name="Save for later").click()
    page.wait_for_url("**/wishlist/**")
    page.goto(f"{room.url}/p/{room.stock['product']}/?variant={room.stock['sku']}")
    page.get_by_role("button", name="Add to cart").click()
    page.wait_for_url("**/cart/?done=added")
    page.close()
    return "; ".join(f"{cookie['name']}={cookie['value']}" for cookie in context.cookies(room.url))
