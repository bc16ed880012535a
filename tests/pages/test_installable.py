"""The shop on a phone without a network, across a deploy, and what its worker must never keep."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect

from .browsing import fill_cart
from .client import Client
from .room import Room

PATIENCE_SECONDS = 30
KEPT = """async () => {
  const found = {};
  for (const name of await caches.keys()) {
    found[name] = (await (await caches.open(name)).keys()).map((request) => new URL(request.url).pathname);
  }
  return found;
}"""


@pytest.fixture
def phone(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(viewport={"width": 375, "height": 812})
    context.set_default_timeout(20_000)
    yield context
    context.close()


def with_worker(page: Page, room: Room) -> None:
    """Open the first page, and wait until the worker has it in hand."""
    page.goto(room.url)
    until(page, "navigator.serviceWorker.ready.then(() => navigator.serviceWorker.controller !== null)")


def until(page: Page, condition: str) -> None:
    """Ask the page until it says yes; the page's policy allows no function that the browser would ask by itself."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, f"never came true: {condition}"
        page.wait_for_timeout(100)


def is_kept(page: Page, address: str) -> None:
    until(page, f"caches.match({json.dumps(address)}, {{ignoreVary: true}}).then((found) => found !== undefined)")


def kept(page: Page, kind: str = "") -> list[str]:
    found: dict[str, list[str]] = page.evaluate(KEPT)
    return [path for name, paths in found.items() if name.startswith(f"pp-{kind}") for path in paths]


def go_offline(context: BrowserContext) -> None:
    context.set_offline(True)


def test_the_manifest_is_whole_and_its_icons_are_what_it_says(shop: Room) -> None:
    client = Client(shop)
    answer = client.get("/manifest.webmanifest")
    assert answer.headers["content-type"].startswith("application/manifest+json")
    assert "set-cookie" not in answer.headers
    told = json.loads(answer.text)
    assert told["start_url"] == told["scope"] == told["id"] == "/"
    assert {icon["purpose"] for icon in told["icons"]} == {"any", "maskable"}
    for icon in told["icons"]:
        picture = Image.open(io.BytesIO(client.get(icon["src"]).body))
        assert "x".join(map(str, picture.size)) == icon["sizes"]
    assert '<link rel="manifest" href="/manifest.webmanifest">' in client.get("/").text


def test_the_worker_is_the_same_for_everybody_and_asked_for_again_each_time(shop: Room) -> None:
    answer = Client(shop).get("/sw.js")
    assert answer.headers["content-type"].startswith("application/javascript")
    assert "max-age=0" in answer.headers["cache-control"] and "public" in answer.headers["cache-control"]
    assert "set-cookie" not in answer.headers and "cookie" not in answer.headers.get("vary", "").lower()
    assert shop.environment["ADMIN_URL_PATH"] not in answer.text.replace("/static/", "")


def test_pages_that_were_seen_are_there_without_a_network(shop: Room, phone: BrowserContext) -> None:
    page = phone.new_page()
    with_worker(page, shop)
    product = f"/p/{shop.stock['product']}/"
    page.goto(shop.url + product)
    name = page.locator("h1").inner_text()
    is_kept(page, product)
    is_kept(page, page.evaluate("document.querySelector('.gallery img').currentSrc"))
    go_offline(phone)
    page.goto(shop.url + product)
    expect(page.locator("h1")).to_have_text(name)
    assert page.evaluate("getComputedStyle(document.querySelector('.button')).borderRadius") == "999px", "no style"
    assert page.evaluate(
        "document.querySelector('.gallery img').complete && document.querySelector('.gallery img').naturalWidth > 0"
    )
    page.goto(f"{shop.url}/p/{shop.stock['other']}/")
    expect(page.locator("h1")).to_have_text("You are offline")
    phone.set_offline(False)
    page.goto(f"{shop.url}/p/{shop.stock['other']}/")
    expect(page.locator("h1")).not_to_have_text("You are offline")


def test_what_is_a_shopper_s_own_is_never_kept(shop: Room, phone: BrowserContext) -> None:
    page = phone.new_page()
    with_worker(page, shop)
    fill_cart(phone, shop)
    order = f"/orders/{shop.stock['orders']['paid']}/"
    own = ["/cart/", "/checkout/", order, "/wishlist/", "/orders/find/", f"{order}reviews/"]
    for path in own:
        page.goto(shop.url + path)
        page.wait_for_load_state("networkidle")
    page.goto(f"{shop.url}/info/about/")
    is_kept(page, "/info/about/")
    assert [path for path in kept(page) if path in own] == []
    assert "/info/about/" in kept(page, "pages")
    go_offline(phone)
    for path in own:
        page.goto(shop.url + path)
        expect(page.locator("h1")).to_have_text("You are offline")


def test_what_goes_wrong_is_shown_and_not_kept(shop: Room, phone: BrowserContext) -> None:
    """A page of maintenance must not come back from the phone when the shop is open again."""
    page = phone.new_page()
    with_worker(page, shop)
    flag = shop.directory / "edge" / "maintenance"
    flag.touch()
    try:
        page.goto(f"{shop.url}/info/terms/")
        expect(page.locator("h1")).to_have_text("The shop is being looked after")
    finally:
        flag.unlink()
    page.goto(f"{shop.url}/info/terms/")
    expect(page.locator("h1")).to_have_text("Terms")
    assert page.goto(f"{shop.url}/nowhere/").status == 404  # type: ignore[union-attr]
    assert "/nowhere/" not in kept(page)


def test_a_deploy_and_a_rollback_leave_one_release_on_the_phone(shop: Room, phone: BrowserContext) -> None:
    page = phone.new_page()
    with_worker(page, shop)
    first = names(page)
    blue = (shop.directory / "run" / "live.sock").readlink()
    try:
        with shop.slot("green", PASARGAD_RELEASE="pages-2", PAGE_CACHE_SHARED_SECONDS="1") as green:
            shop.switch(green)
            second = after_update(page, shop, unlike=first)
            assert second.isdisjoint(first), "what the old release kept is still there"
            go_offline(phone)
            page.goto(f"{shop.url}/info/privacy/")
            expect(page.locator("h1")).to_have_text("You are offline")
            phone.set_offline(False)
            shop.switch(blue)
            assert after_update(page, shop, unlike=second) == first
    finally:
        shop.switch(blue)


def names(page: Page) -> set[str]:
    return {name for name in page.evaluate("caches.keys()") if name.startswith("pp-static-")}


def after_update(page: Page, room: Room, *, unlike: set[str]) -> set[str]:
    """Come back until the browser has taken the other release's worker; the proxy may show the old one for a while."""
    for _ in range(60):
        page.goto(room.url)
        page.evaluate("navigator.serviceWorker.ready.then((ready) => ready.update()).then(() => true, () => false)")
        page.wait_for_timeout(1000)
        now = names(page)
        if now and now.isdisjoint(unlike):
            return now
    raise AssertionError("the worker of the other release never came")
