"""A shopper in a browser: finds goods, fills the cart, orders as a guest and pays; notes what a person would mind."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Response, expect

from tests.shop import DOMAIN

SHOP = f"https://{DOMAIN}"
ORDER_PAGE = re.compile(rf"^{re.escape(SHOP)}/orders/[0-9a-f]{{32}}/$")
PAYMENT_PAGE = re.compile(r"^https://pay\.outside\.test/pay/pi_")
LONGEST_LIST = 20


@dataclass
class Shopper:
    """One shopper with one browser window; `seen` collects what no page of a good shop does."""

    context: BrowserContext
    email: str
    screenshots: Path
    label: str
    page: Page = field(init=False)
    seen: list[str] = field(default_factory=list)
    _pictures: int = 0

    def __post_init__(self) -> None:
        self.page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.page.on("pageerror", lambda error: self.seen.append(f"script error: {error}"))
        self.page.on("console", self._hear)
        self.page.on("response", self._look)

    def _hear(self, message: ConsoleMessage) -> None:
        """Note errors on the shop's own pages; the payment page answers 402 to a declined card."""
        if message.type == "error" and self.page.url.startswith(SHOP):
            self.seen.append(f"console: {message.text}")

    def _look(self, response: Response) -> None:
        """Note every answer that a shop on a good day does not give; the payment page refuses cards with 4xx."""
        if response.url.startswith(SHOP) and response.status >= 400:
            self.seen.append(f"{response.status} {response.request.method} {response.url}")

    def picture(self, name: str) -> None:
        """Keep what the shopper sees, from top to bottom, and note a page that is wider than the screen."""
        self._pictures += 1
        self.page.screenshot(path=self.screenshots / f"{self.label}-{self._pictures:02d}-{name}.png", full_page=True)
        wide = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if wide > 0:
            self.seen.append(f"{name}: {wide} px wider than the screen")

    def find(self, product: str) -> None:
        """Walk from the home page through the list to the product with this path."""
        self.page.goto(f"{SHOP}/")
        expect(self.page.get_by_role("heading", level=1)).to_be_visible()
        self.picture("home")
        self.page.get_by_role("link", name="Browse all goods").click()
        self.page.wait_for_url(f"{SHOP}/shop/")
        self.picture("list")
        link = self.page.locator(f'main a[href="{product}"]').first
        for _ in range(LONGEST_LIST):
            if link.count():
                break
            self.page.get_by_role("link", name="More", exact=False).click()
        link.click()
        self.page.wait_for_url(f"{SHOP}{product}")
        self.picture("product")

    def put_into_cart(self, sku: str, quantity: int) -> None:
        choice = self.page.locator(f'input[type=radio][name=variant][value="{sku}"]')
        if choice.count():
            choice.check()
        self.page.get_by_label("Quantity", exact=True).fill(str(quantity))
        self.page.get_by_role("button", name="Add to cart").click()
        self.page.wait_for_url(f"{SHOP}/cart/?done=added")
        expect(self.page.get_by_role("status")).to_have_text("Added to your cart.")
        self.picture("cart")

    def order(self) -> None:
        """Fill in the checkout as a guest and press the button; ends on the payment page."""
        self.page.get_by_role("link", name="Go to checkout").click()
        self.picture("checkout")
        for label, text in {
            "E-mail": self.email,
            "Name": "Atossa Achaemenid",
            "Street and number": "1 Apadana Stairs",
            "Postal code": "94110",
            "City": "Shiraz Springs",
            "State or province": "CA",
        }.items():
            self.page.get_by_role("textbox", name=re.compile(rf"^{label}")).first.fill(text)
        self.page.get_by_role("button", name=re.compile("^Place order")).click()
        self.page.wait_for_url(PAYMENT_PAGE)

    def pay(self, card: str) -> None:
        """Fill in the card on the provider's page and send it."""
        self.page.get_by_label("Card number").fill(card)
        self.page.get_by_label("Expires (MM/YY)").fill("12/34")
        self.page.get_by_label("Security code").fill("123")
        self.picture("payment")
        self.page.get_by_role("button", name=re.compile("^Pay ")).click()

    def is_thanked(self) -> str:
        """Check that the shop confirms the paid order; returns its number."""
        self.page.wait_for_url(ORDER_PAGE)
        expect(self.page.get_by_role("heading", level=1)).to_have_text("Thank you!")
        self.picture("thanks")
        found = re.search(r"Order (\S+)", self.page.locator(".eyebrow").inner_text(), re.IGNORECASE)
        assert found, "the page does not tell the order's number"
        return found.group(1)
