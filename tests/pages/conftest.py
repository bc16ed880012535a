"""One shop and one browser for the quick tests of pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from .browsing import browser
from .room import Room, room
from .tools import Tools, install

GOODS = 4


@pytest.fixture(scope="session")
def tools() -> Tools:
    return install()


@pytest.fixture(scope="session")
def shop() -> Iterator[Room]:
    """The shop as a host serves it, with a few goods."""
    with room(goods=GOODS) as opened:
        yield opened


@pytest.fixture(scope="session")
def chromium(shop: Room) -> Iterator[Browser]:
    """A browser for which the shop's name is real, and which draws in three dimensions without a graphics card."""
    with browser(shop, "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader") as started:
        yield started
