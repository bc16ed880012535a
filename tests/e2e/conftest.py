"""One deployed shop for all end-to-end tests, and a browser that knows where it is."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.e2e.watching import Observed, Watched, secrets_of
from tests.sentinel import Sentinel
from tests.shop import DOMAIN, REPOSITORY, Shop
from tests.web import Web, write_authorities

CHROMIUM = "/usr/bin/chromium"
SHELVES_SECONDS = 70.0
LAB = int(os.environ.get("PASARGAD_E2E_LAB", "100"))
KEEP = bool(os.environ.get("PASARGAD_E2E_KEEP"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that want bare hosts."""
    items.sort(key=lambda item: item.get_closest_marker("bare") is None)


@pytest.fixture(scope="session")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Bare hosts for a shop whose secrets are known; removed at the end unless PASARGAD_E2E_KEEP is set."""
    shop = Shop(LAB)
    try:
        shop.bare()
        yield Watched(shop, Sentinel(secrets_of(shop)), tmp_path_factory.mktemp("watched"))
    finally:
        if not KEEP:
            shop.down()


@pytest.fixture(scope="session")
def first_plays(watched: Watched) -> list[Observed]:
    """The plays of an operator who begins, while everybody watches."""
    return [watched.play(book) for book in ("playbooks/lab.yml", "deploy.yml")]


@pytest.fixture(scope="session")
def shop(watched: Watched, first_plays: list[Observed]) -> Shop:
    """The shop, deployed by the operator's own commands."""
    for observed in first_plays:
        observed.run.require()
    return watched.shop


@pytest.fixture(scope="session")
def authorities(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the authorities that signed the lab's certificates."""
    return write_authorities(shop, tmp_path_factory.mktemp("authorities") / "ca.pem")


@pytest.fixture(scope="session")
def web(shop: Shop, authorities: Path) -> Web:
    """The lab's web, with its certificates verified; the goods are on the shelves."""
    web = Web(shop.network, authorities)
    deadline = time.monotonic() + SHELVES_SECONDS
    # The proxy may keep a page from the moment between the first release and the goods for a while.
    while "/p/" not in web.shop("/shop/").text or "/p/" not in web.shop("/").text:
        assert time.monotonic() < deadline, "the shop shows no goods"
        time.sleep(1)
    return web


@pytest.fixture(scope="session")
def browser(shop: Shop, web: Web) -> Iterator[Browser]:
    """Debian's Chromium, for which the lab's names are real."""
    if not Path(CHROMIUM).exists():
        pytest.fail(f"{CHROMIUM} is not installed. Run: bin/setup --tests")
    names = f"MAP {DOMAIN} {shop.address}, MAP outside.test {shop.network}.50, MAP *.outside.test {shop.network}.50"
    with sync_playwright() as playwright:
        # A service worker's script is fetched outside of any context that could ignore the lab's certificates.
        trust = "--ignore-certificate-errors"
        started = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", trust, f"--host-resolver-rules={names}"]
        )
        yield started
        started.close()


@pytest.fixture(scope="session")
def screenshots() -> Path:
    """Where pictures of what shoppers saw are kept."""
    directory = REPOSITORY / "test-results" / "screenshots"
    directory.mkdir(parents=True, exist_ok=True)
    return directory
