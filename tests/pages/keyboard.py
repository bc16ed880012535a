"""A purchase with Tab, Space and Enter alone, from the home page to the provider's page and back."""

from __future__ import annotations

import re

from playwright.sync_api import BrowserContext, Page

from .findings import Finding
from .room import DOMAIN, Room

MOST_TABS = 140
# What a person sees of the focus: an outline or a ring on the element itself, or on the choice or card around it.
SEEN = """() => {
  const element = document.activeElement;
  if (!element || element === document.body) return {where: "nothing", seen: true};
  const marked = (node) => {
    const style = getComputedStyle(node);
    return style.outlineStyle === "auto" || (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2);
  };
  const box = element.getBoundingClientRect();
  const around = element.closest(".option, .card, .stepper, form");
  const inside = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
  return {
    where: element.outerHTML.slice(0, 120),
    seen: inside && (marked(element) || Boolean(around && around.matches(".option") && marked(around))),
  };
}"""


class Lost(Exception):
    """The keyboard does not lead where it must; the text says where it ended."""


class Keys:
    """One page, touched by keys only; `findings` collects where the focus could not be seen."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.findings: list[Finding] = []

    def tab_to(self, selector: str) -> None:
        """Press Tab until the first element of a selector has the focus; raises Lost."""
        for _ in range(MOST_TABS):
            self.page.keyboard.press("Tab")
            told = self.page.evaluate(SEEN)
            if not told["seen"]:
                self.findings.append(Finding(self.page.url, "focus", f"not visible on {told['where']}"))
            if self.page.evaluate("(s) => document.activeElement.matches(s)", selector):
                return
        raise Lost(f"{selector} was not reached on {self.page.url}")

    def press(self, key: str, *, to: str) -> None:
        """Press a key that leads to another page."""
        with self.page.expect_navigation(url=re.compile(to), timeout=30_000):
            self.page.keyboard.press(key)
        self.page.wait_for_load_state("load")

    def type_into(self, fields: dict[str, str]) -> None:
        for selector, text in fields.items():
            self.tab_to(selector)
            self.page.keyboard.press("Control+A")
            self.page.keyboard.type(text)


def purchase(context: BrowserContext, room: Room) -> tuple[str, list[Finding]]:
    """Buy something by keys; returns the words of the last page's heading, and where the focus was lost from sight."""
    keys = Keys(context.new_page())
    page = keys.page
    page.goto(f"{room.url}/")
    page.keyboard.press("Tab")
    if page.evaluate("document.activeElement.getAttribute('href')") != "#main":
        keys.findings.append(Finding(page.url, "focus", "the first Tab does not reach the link to the content"))
    keys.tab_to(".search input")
    page.keyboard.type(room.stock["product"].replace("-", " "))
    keys.press("Enter", to=r"/shop/\?q=")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    product = f"/p/{room.stock['product']}/"
    keys.tab_to(f'.card a[href="{product}"]')
    keys.press("Enter", to=re.escape(product))
    keys.tab_to("#id_quantity")
    page.keyboard.type("2")
    keys.tab_to("form[action='/cart/add/'] button[type=submit]")
    keys.press("Space", to=r"/cart/\?done=added")
    keys.tab_to("a[href='/checkout/']")
    keys.press("Enter", to="/checkout/$")
    fields = {
        "#id_email": "keys@example.org", "#id_name": "Ada Lovelace", "#id_street": "1 Engine Street",
        "#id_zip": "02110", "#id_city": "Boston", "#id_state": "MA",
    }  # fmt: skip
    keys.type_into(fields)
    keys.tab_to("aside button.wide[type=submit]")
    # The provider's pages are its own: they are walked, not judged.
    keys.press("Space", to="/pay/")
    provider = Keys(page)
    provider.type_into({"[name=number]": "4242424242424242", "[name=expiry]": "12/34", "[name=cvc]": "123"})
    provider.tab_to("button[type=submit], form button")
    provider.press("Enter", to=rf"https://{re.escape(DOMAIN)}/orders/")
    return page.locator("h1").inner_text(), keys.findings
