"""The table of everything that the API does: who may, what goes in, what comes out. All else is derived from it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest
from pydantic import BaseModel

from pasargad.cart.models import Cart
from pasargad.orders.models import Order

from .scopes import Scope

# Who may: anybody; who holds a cart's token; who holds an order's token; or whoever has a scope.
PUBLIC, CART, ORDER = "public", "cart", "order"
Access = str | Scope

# A path whose parts do not look so does not exist.
PATH_PARTS = {
    "slug": (r"[-a-zA-Z0-9_]{1,120}", "Name of a product in addresses"),
    "sku": (r"[A-Z0-9-]{1,40}", "Article number of a variant"),
    "token": (r"[0-9a-f]{32}", "The order's secret: whoever has it sees the order"),
    "number": (r"[A-Z]{1,6}-[0-9A-Z]{1,13}", "Number of an order"),
    "line": (r"[1-9][0-9]{0,8}", "Number of a line in the cart"),
    "return_number": (r"[1-9][0-9]{0,3}", "Number of a return within its order"),
    "parcel": (r"[1-9][0-9]{0,8}", "Number of a parcel"),
}


@dataclass
class Call:
    """A request that was understood and allowed. `cart` and `order` are there where the operation asks for them."""

    request: HttpRequest
    operation: Operation
    path: Mapping[str, str]
    query: Any = None
    body: Any = None
    actor: str = "api"
    cart_found: Cart | None = None
    order_found: Order | None = None
    idempotency_key: str = ""
    # The body as it was sent, which an idempotency key stands for.
    request_value: Any = None
    # Headers that the answer gets besides the usual ones.
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def cart(self) -> Cart:
        assert self.cart_found is not None  # noqa: S101  # the operation asked for it
        return self.cart_found

    @property
    def order(self) -> Order:
        assert self.order_found is not None  # noqa: S101  # the operation asked for it
        return self.order_found


@dataclass(frozen=True)
class Operation:
    """One row of the table.

    `limit` names the rate limit for addresses. With `keyed` the request needs an Idempotency-Key; its handler runs in
    one transaction with the stored answer, unless `outside`: then it must be safe to repeat by itself. `finish` adds
    what is asked of the world after that transaction, and is safe to repeat too. `guarded` says whether If-Match is
    "required", "optional" or "" (senseless).
    """

    name: str
    method: str
    path: str
    tag: str
    summary: str
    handler: Callable[[Call], BaseModel | None]
    answer: type[BaseModel] | None
    access: Access
    status: int = 200
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    limit: str = "search"
    keyed: bool = False
    outside: bool = False
    finish: Callable[[dict[str, Any]], BaseModel] | None = None
    guarded: str = ""
    refusals: bool = False
    detail: str = ""

    @property
    def parts(self) -> list[str]:
        return re.findall(r"{(\w+)}", self.path)

    @property
    def pattern(self) -> str:
        return re.sub(r"{(\w+)}", lambda found: f"(?P<{found[1]}>{PATH_PARTS[found[1]][0]})", self.path)


TABLE: dict[tuple[str, str], Operation] = {}


def operation(
    method: str, path: str, **row: Any
) -> Callable[[Callable[[Call], BaseModel | None]], Callable[[Call], BaseModel | None]]:
    """Enter a handler into the table."""

    def enter(handler: Callable[[Call], BaseModel | None]) -> Callable[[Call], BaseModel | None]:
        found = Operation(name=handler.__name__, method=method, path=path, handler=handler, **row)
        if (method, path) in TABLE or any(other.name == found.name for other in TABLE.values()):
            raise ValueError(f"{method} {path} ({found.name}) is in the table already")
        TABLE[(method, path)] = found
        return handler

    return enter


def operations() -> list[Operation]:
    """Return the whole table."""
    from . import resources

    resources.load()
    return list(TABLE.values())
