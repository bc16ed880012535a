"""Payment methods: the ready-made test cards and those typed into the hosted form."""

from __future__ import annotations

from typing import Any

from . import params
from .books import Books, Object, new_id
from .cards import BY_NUMBER, BY_TOKEN, Card
from .errors import ApiError, no_such

ADDRESS: params.FieldDict = {
    name: params.string(clearable=True) for name in ("city", "country", "line1", "line2", "postal_code", "state")
}
BILLING: params.FieldDict = {
    "address": params.nested(ADDRESS, clearable=True),
    "email": params.email,
    "name": params.string(clearable=True),
    "phone": params.string(clearable=True),
}


def _raw_card(name: str, raw: Any) -> str:
    if isinstance(raw, dict) and isinstance(raw.get("token"), str):
        token = "pm_card_" + raw["token"].removeprefix("tok_")
        if token in BY_TOKEN:
            return str(token)
        raise no_such("token", raw["token"], f"{name}[token]")
    raise ApiError(
        "Sending credit card numbers directly to the Stripe API is generally unsafe. We suggest you use test tokens "
        "that map to the test card you are using, see https://stripe.com/docs/testing.",
        status=402,
        kind="card_error",
        param=name,
    )


CREATE_FIELDS: params.FieldDict = {
    "type": params.Required(params.choice(["card"])),
    "card": params.Required(_raw_card),
    "billing_details": params.nested(BILLING),
    "metadata": params.metadata,
}


def create(books: Books, wish: dict[str, Any]) -> Object:
    """Keep a payment method made from a test token."""
    return make(books, BY_TOKEN[wish["card"]], wish.get("billing_details") or {}, wish.get("metadata"))


def make(
    books: Books,
    card: Card,
    billing: dict[str, Any],
    metadata: dict[str, str] | None = None,
    expiry: tuple[int, int] = (12, 2034),
) -> Object:
    """Keep a payment method for a test card; the full number is kept nowhere."""
    return books.add(
        {
            "id": new_id("pm"),
            "object": "payment_method",
            "allow_redisplay": "unspecified",
            "billing_details": {"address": None, "email": None, "name": None, "phone": None} | billing,
            "card": {
                "brand": card.brand,
                "country": "US",
                "exp_month": expiry[0],
                "exp_year": expiry[1],
                "funding": card.funding,
                "last4": card.last4,
                "three_d_secure_usage": {"supported": True},
            },
            "created": books.now,
            "customer": None,
            "livemode": False,
            "metadata": params.merge_metadata({}, metadata or {}),
            "type": "card",
        }
    )


def resolve(books: Books, identity: str, param: str = "payment_method") -> Object:
    """Return the payment method of an identifier; a test token makes a new one, as Stripe does."""
    if identity in BY_TOKEN:
        return make(books, BY_TOKEN[identity], {})
    return books.find("payment_method", identity, param)


def card_of(method: Object) -> Card:
    """Return the test card behind a payment method, known by its last digits and brand."""
    shown = method["card"]
    for card in BY_NUMBER.values():
        if (card.last4, card.brand) == (shown["last4"], shown["brand"]):
            return card
    raise LookupError(f"no test card ends in {shown['last4']}")
