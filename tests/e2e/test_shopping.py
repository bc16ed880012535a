"""A person buys something on a phone's screen, with and without JavaScript; the books agree afterwards."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ViewportSize, expect

from tests.e2e.shopper import ORDER_PAGE, PAYMENT_PAGE, Shopper
from tests.shop import Shop
from tests.shop_load import query
from tests.web import Web

pytestmark = pytest.mark.lab
GOOD_CARD, DECLINED_CARD = "4242 4242 4242 4242", "4000 0000 0000 0002"
PHONE = ViewportSize(width=375, height=812)
MAIL_SECONDS = 60.0
IN_STOCK = """
SELECT p.slug, v.sku, v.id FROM catalog_variant v JOIN catalog_product p ON p.id = v.product_id
WHERE p.state = 'published' AND v.is_active AND NOT v.made_to_order AND v.on_hand - v.reserved >= 3
ORDER BY v.id LIMIT 1
"""


@dataclass(frozen=True)
class Goods:
    """A variant of which there are some."""

    path: str
    sku: str
    variant: int


@dataclass(frozen=True)
class Books:
    """What the shop's database says about one variant."""

    shop: Shop
    goods: Goods

    def stock(self) -> tuple[int, int]:
        """Return pieces on hand and pieces reserved."""
        rows = query(self.shop, f"SELECT on_hand, reserved FROM catalog_variant WHERE id = {self.goods.variant}")
        return int(rows[0][0]), int(rows[0][1])

    def orders(self, email: str) -> list[list[str]]:
        """Return number, status and how often it became paid, of every order of this shopper."""
        return query(
            self.shop,
            f"""SELECT o.number, o.status, (SELECT count(*) FROM orders_orderevent e
            WHERE e.order_id = o.id AND e.after = 'paid') FROM orders_order o WHERE o.email = '{email}'""",
        )

    def sold(self, number: str) -> list[list[str]]:
        """Return how many pieces left the books for an order, movement by movement."""
        return query(
            self.shop,
            f"""SELECT m.quantity FROM catalog_stockmovement m JOIN orders_order o ON m.reference = 'order:' || o.id
            WHERE o.number = '{number}' AND m.kind = 'sold'""",
        )


@pytest.fixture
def goods(shop: Shop) -> Goods:
    rows = query(shop, IN_STOCK)
    assert rows, "nothing is in stock; the demonstration goods are missing"
    slug, sku, variant = rows[0]
    return Goods(f"/p/{slug}/", sku, int(variant))


@pytest.fixture
def books(shop: Shop, goods: Goods) -> Books:
    return Books(shop, goods)


@pytest.fixture(params=["javascript", "plain"])
def shopper(request: pytest.FixtureRequest, browser: Browser, screenshots: Path) -> Iterator[Shopper]:
    """Somebody with a phone; once with a modern browser, once with scripts switched off."""
    context = browser.new_context(
        viewport=PHONE,
        device_scale_factor=1,
        java_script_enabled=request.param == "javascript",
        # The trust in certificates is what test_visitors_are_served_over_trusted_tls is about.
        ignore_https_errors=True,
    )
    label = f"{request.node.name.split('[')[0].removeprefix('test_')}-{request.param}"
    yield Shopper(context, f"shopper-{uuid.uuid4().hex[:10]}@example.com", screenshots, label)
    context.close()


def mails_to(web: Web, email: str, number: str) -> list[str]:
    """Return the texts of the mails about an order, waiting until there is one."""
    deadline = time.monotonic() + MAIL_SECONDS
    while True:
        found = [mail for mail in web.received("mails") if email in str(mail["to"]) and number in mail["subject"]]
        if found or time.monotonic() > deadline:
            return [web.ask(f"https://outside.test/api/mails/{mail['id']}").json()["text"] for mail in found]
        time.sleep(0.5)


def test_visitors_are_served_over_trusted_tls(web: Web) -> None:
    answer = web.shop("/")
    assert answer.status == 200
    assert "strict-transport-security" in answer.headers
    assert "x-pasargad-slot" not in answer.headers


def test_buying(shopper: Shopper, goods: Goods, books: Books, web: Web) -> None:
    on_hand, reserved = books.stock()
    shopper.find(goods.path)
    shopper.put_into_cart(goods.sku, 2)
    shopper.order()
    assert books.stock() == (on_hand, reserved + 2), "an order that waits for its payment holds its pieces"
    shopper.pay(GOOD_CARD)
    number = shopper.is_thanked()

    assert books.orders(shopper.email) == [[number, "paid", "1"]]
    assert books.sold(number) == [["-2"]]
    assert books.stock() == (on_hand - 2, reserved)
    texts = mails_to(web, shopper.email, number)
    assert len(texts) == 1, f"{len(texts)} mails about the order within {MAIL_SECONDS} s"
    assert number in texts[0]
    assert "/orders/" in texts[0], "the mail leads back to the order"
    assert shopper.seen == []


def test_declined_card_can_be_tried_again(shopper: Shopper, goods: Goods, books: Books, web: Web) -> None:
    on_hand, reserved = books.stock()
    shopper.find(goods.path)
    shopper.put_into_cart(goods.sku, 1)
    shopper.order()
    shopper.pay(DECLINED_CARD)
    expect(shopper.page.get_by_role("alert")).to_contain_text("declined")
    shopper.picture("declined")

    shopper.page.get_by_role("link", name="without paying").click()
    shopper.page.wait_for_url(ORDER_PAGE)
    expect(shopper.page.get_by_role("alert")).to_contain_text("declined")
    shopper.picture("not-paid")
    assert [row[1:] for row in books.orders(shopper.email)] == [["awaiting_payment", "0"]]

    shopper.page.get_by_role("button", name="Pay ").click()
    shopper.page.wait_for_url(PAYMENT_PAGE)
    shopper.pay(GOOD_CARD)
    number = shopper.is_thanked()
    assert books.orders(shopper.email) == [[number, "paid", "1"]]
    assert books.sold(number) == [["-1"]]
    assert books.stock() == (on_hand - 1, reserved)
    assert len(mails_to(web, shopper.email, number)) == 1
    assert shopper.seen == []
