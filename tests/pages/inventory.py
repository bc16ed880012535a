"""Which pages there are, and in which state each is looked at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .client import Answer
from .findings import Finding
from .room import Room

INFO = ("about", "shipping", "returns", "privacy", "terms", "contact")
# Marked so that search engines leave them out; every other page must be open to them.
HIDDEN = ("cart", "checkout", "order", "wishlist", "compare", "find", "offline", "filtered", "search", "pay", "error")


@dataclass(frozen=True)
class Sheet:
    """One page: its name in reports, its path, and whether it is for a shopper with a filled cart."""

    name: str
    path: str
    filled: bool = False
    status: int = 200

    @property
    def hidden(self) -> bool:
        return self.name.partition("-")[0] in HIDDEN


def sheets(room: Room) -> list[Sheet]:
    """Return every page of a shopper, with what the room's stock offers to show."""
    stock = room.stock
    product, orders = f"/p/{stock['product']}/", stock["orders"]
    found = [
        Sheet("home", "/"),
        Sheet("list", "/shop/"),
        Sheet("category", f"/c/{stock['category']}/"),
        Sheet("search", "/shop/?q=vase"),
        Sheet("filtered-list", "/shop/?available=1&price=10-60&sort=price"),
        Sheet("filtered-nothing", "/shop/?q=zzqqxx"),
        Sheet("product", product),
        Sheet("product-other", f"/p/{stock['other']}/"),
        Sheet("reviews", f"{product}reviews/"),
        Sheet("error-review-start", f"{product}review/"),
        Sheet("compare", f"/compare/?p={stock['product']}&p={stock['other']}"),
        Sheet("compare-empty", "/compare/"),
        Sheet("wishlist-empty", "/wishlist/"),
        Sheet("wishlist", "/wishlist/", filled=True),
        Sheet("cart-empty", "/cart/"),
        Sheet("cart", "/cart/", filled=True),
        Sheet("checkout", "/checkout/", filled=True),
        Sheet("find", "/orders/find/"),
        Sheet("offline", "/offline/"),
        *(Sheet(f"info-{page}", f"/info/{page}/") for page in INFO),
        *(Sheet(f"order-{name}", f"/orders/{token}/") for name, token in orders.items()),
        Sheet("order-return-form", f"/orders/{orders['delivered']}/returns/"),
        Sheet("order-reviews", f"/orders/{orders['delivered']}/reviews/"),
        Sheet("error-404", "/nowhere/", status=404),
        Sheet("home-persian", "/fa/"),
        Sheet("list-persian", "/fa/shop/"),
        Sheet("product-persian", f"/fa{product}"),
        Sheet("cart-persian", "/fa/cart/", filled=True),
        Sheet("checkout-persian", "/fa/checkout/", filled=True),
        Sheet("order-persian", f"/fa/orders/{orders['delivered']}/"),
    ]
    found += [Sheet("product-sold-out", f"/p/{stock['sold_out']}/")] if stock["sold_out"] else []
    found += [Sheet("product-solid", f"/p/{stock['solid']}/")] if stock["solid"] else []
    return found


def misplaced(sheet: Sheet, answer: Answer) -> Iterator[Finding]:
    """Yield what is wrong with how a page answers, and with what it says to search engines."""
    if answer.status != sheet.status:
        yield Finding(sheet.name, "status", f"{answer.status} instead of {sheet.status}")
    kept_out = '<meta name="robots" content="noindex' in answer.text
    if sheet.status == 200 and sheet.hidden is not kept_out:
        word = "is kept from search engines" if kept_out else "may be found"
        yield Finding(sheet.name, "robots", f"{word}; it should be the other way round")
