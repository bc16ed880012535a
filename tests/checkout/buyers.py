"""Shoppers without a browser: a cookie jar, the shop's forms, and the provider's card page, many at the same moment."""

from __future__ import annotations

import re
import ssl
import threading
import time
import urllib.parse
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from html import unescape
from http.client import HTTPException
from typing import Any

from tests.shop import DOMAIN
from tests.web import Answer, Web

SHOP = f"https://{DOMAIN}"
FORM_TYPE = {"Content-Type": "application/x-www-form-urlencoded"}
CARD = {"number": "4242424242424242", "expiry": "12/34", "cvc": "123", "name": "Atossa"}
ADDRESS = {
    "name": "Atossa Achaemenid",
    "delivery": "shipping",
    "street": "1 Apadana Stairs",
    "city": "Shiraz Springs",
    "state": "CA",
    "zip": "94110",
    "country": "US",
}
TRIES = 6


class NotServed(Exception):
    """A step of buying did not lead where it must; the text says what was seen instead."""


@dataclass
class Buyer:
    """One shopper. `trouble` holds every answer of 500 and above, and every connection that broke."""

    web: Web
    email: str = field(default_factory=lambda: f"buyer-{uuid.uuid4().hex[:12]}@example.com")
    cookies: dict[str, str] = field(default_factory=dict)
    trouble: list[str] = field(default_factory=list)
    order_page: str = ""

    def ask(self, url: str, values: dict[str, str] | None = None) -> Answer:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        body = None
        if values is not None:
            host = "/".join(url.split("/")[:3])
            headers |= {**FORM_TYPE, "Origin": host}
            body = urllib.parse.urlencode(values).encode()
        if not url.startswith(SHOP):
            del headers["Cookie"]
        try:
            method = "POST" if values is not None else "GET"
            answer = self.web.ask(url, method=method, headers=headers, body=body)
        except (OSError, HTTPException, ssl.SSLError) as error:
            self.trouble.append(f"{type(error).__name__} at {url.split('?')[0][:60]}")
            raise
        if url.startswith(SHOP):
            self.cookies |= dict(cookie.split("=", 1) for cookie in answer.cookies)
        if answer.status >= 500:
            self.trouble.append(f"{answer.status} at {url.split('?')[0][:60]}")
        return answer

    def fill_cart(self, goods: Sequence[tuple[str, int]], coupon: str = "") -> bool:
        """Put goods into the cart, one after the other; False when the shop has not so many."""
        for sku, quantity in goods:
            if self.ask(f"{SHOP}/cart/add/", {"variant": sku, "quantity": str(quantity)}).status != 303:
                return False
        if coupon:
            self.ask(f"{SHOP}/cart/coupon/", {"coupon": coupon})
        return True

    def checkout_form(self) -> dict[str, str]:
        """Return the checkout form, filled in; raises NotServed when the cart is empty."""
        page = self.ask(f"{SHOP}/checkout/")
        if page.status != 200:
            raise NotServed(f"checkout answered {page.status}")
        return {**fields_of(page.text, "idempotency_key"), "email": self.email, **ADDRESS}

    def place(self, form: dict[str, str], *, tries: int = TRIES) -> Answer:
        """Press the button; a page that asks for another press gets one."""
        for _ in range(tries):
            answer = self.ask(f"{SHOP}/checkout/", form)
            if answer.status != 503:
                break
            self.trouble.pop()
            time.sleep(0.2)
        return answer

    def buy(self, goods: Sequence[tuple[str, int]], coupon: str = "") -> bool:
        """Buy as people do, pressing again when told to; True when the provider took the money."""
        if not self.fill_cart(goods, coupon):
            return False
        answer = self.place(self.checkout_form())
        return answer.status == 303 and self.pay_from(answer.headers["location"])

    def pay_from(self, location: str) -> bool:
        """Go from the checkout to the provider's page, by the order's own button if that is where we were sent."""
        for _ in range(TRIES):
            if location.startswith(("/", SHOP)):
                self.order_page = f"{SHOP}{urllib.parse.urlsplit(location).path}"
                answer = self.ask(f"{self.order_page}pay/", {})
                location = answer.headers.get("location", "")
                if answer.status != 303 or not location:
                    return False
                if location.startswith(("/", SHOP)):
                    time.sleep(0.5)
                continue
            return self.pay_at(location)
        return False

    def pay_at(self, payment_page: str) -> bool:
        """Fill in the card form; True when the provider sent us back as somebody who has paid."""
        page = self.ask(payment_page)
        if page.status == 303:
            return "redirect_status=succeeded" in page.headers["location"]
        return self.send_card(payment_page, fields_of(page.text, "client_secret"))

    def send_card(self, payment_page: str, form: dict[str, str]) -> bool:
        """Press the button of the provider's form, and go where it sends us."""
        back = self.ask(payment_page, {**form, **CARD})
        home = back.headers.get("location", "")
        self.order_page = f"{SHOP}{urllib.parse.urlsplit(home).path.removesuffix('return/')}" if home else ""
        if back.status != 303 or "redirect_status=succeeded" not in home:
            return False
        self.ask(home)
        return True


def fields_of(html: str, name: str) -> dict[str, str]:
    """Return the fields of the form that has a hidden field of this name, as a browser would send them."""
    for form in re.findall(r"<form\b.*?</form>", html, re.DOTALL | re.IGNORECASE):
        if f'name="{name}"' not in form:
            continue
        found = {}
        for tag in re.findall(r"<input\b[^>]*>", form):
            given = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
            skipped = given.get("type") in ("radio", "checkbox", "submit") and not re.search(r"\schecked\b", tag)
            if "name" in given and not skipped:
                found[given["name"]] = unescape(given.get("value", ""))
        return found
    raise NotServed(f"no form with {name} on the page")


def together(deed: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    """Do it with each item at the same moment; returns what each brought, or the exception it raised."""
    start = threading.Barrier(len(items))

    def run(item: Any) -> Any:
        start.wait(60)
        try:
            return deed(item)
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(items)) as pool:
        return list(pool.map(run, items))
