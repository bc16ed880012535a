"""A shopper with a browser that keeps cookies and follows no script."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import requests

GOOD_CARD = "4242424242424242"
DECLINED_CARD = "4000000000000002"
BANK_CARD = "4000002500003155"

ADDRESS = {
    "email": "ada@example.org",
    "name": "Ada Lovelace",
    "delivery": "shipping",
    "street": "1 Engine Street",
    "city": "Boston",
    "state": "MA",
    "zip": "02110",
    "country": "US",
}


@dataclass
class Form:
    action: str
    method: str
    values: dict[str, str]


class _Forms(HTMLParser):
    """Reads the forms of a page with the values a browser would send."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._select: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(given.get("action", ""), given.get("method", "get").lower(), {}))
        if not self.forms:
            return
        values = self.forms[-1].values
        if tag == "input" and given.get("name"):
            if given.get("type") in ("radio", "checkbox") and "checked" not in given:
                return
            values[given["name"]] = given.get("value", "")
        elif tag == "textarea":
            values[given.get("name", "")] = ""
        elif tag == "select":
            self._select = given.get("name", "")
        elif tag == "option" and self._select and (self._select not in values or "selected" in given):
            values[self._select] = given.get("value", "")


@dataclass
class Shopper:
    base: str
    session: requests.Session = field(default_factory=requests.Session)

    def get(self, path: str) -> requests.Response:
        return self.session.get(urljoin(self.base, path), timeout=30)

    def post(self, path: str, values: dict[str, str], *, follow: bool = True) -> requests.Response:
        """Send a form as a browser does: with the origin of the page it is on."""
        url = urljoin(self.base, path)
        parts = urlsplit(url)
        headers = {"Origin": f"{parts.scheme}://{parts.netloc}"}
        return self.session.post(url, data=values, headers=headers, timeout=30, allow_redirects=follow)

    def add(self, sku: str, quantity: int = 1) -> requests.Response:
        return self.post("/cart/add/", {"variant": sku, "quantity": str(quantity)})

    def place(self, **changes: str) -> requests.Response:
        """Fill in the checkout form and press its button; ends on the provider's page."""
        form = form_with(self.get("/checkout/").text, "idempotency_key")
        return self.post("/checkout/", {**form.values, **ADDRESS, **changes})

    def pay(self, page: requests.Response, card: str = GOOD_CARD) -> requests.Response:
        """Fill in the provider's card form; ends where the provider sends the shopper."""
        form = form_with(page.text, "client_secret")
        values = {**form.values, "number": card, "expiry": "12/34", "cvc": "123", "name": "Ada"}
        return self.post(urljoin(page.url, form.action), values)


def form_with(html: str, name: str) -> Form:
    """Return the form of a page that has a field of this name."""
    parser = _Forms()
    parser.feed(html)
    found = [form for form in parser.forms if name in form.values]
    assert found, f"no form with {name} in: {text_of(html)[:500]}"  # noqa: S101
    return found[0]


def text_of(html: str) -> str:
    """Return what a page says, without its marks."""
    bare = re.sub(r"<(script|style)\b.*?</\1>|<[^>]+>", " ", html, flags=re.DOTALL)
    return " ".join(unescape(bare).split())
