"""Refunds: never more than was captured."""

from __future__ import annotations

from typing import Any

from . import charges, methods, params
from .books import Books, Object, new_id
from .errors import ApiError

CREATE_FIELDS = {
    "payment_intent": params.string(),
    "charge": params.string(),
    "amount": params.integer(1),
    "reason": params.choice(["duplicate", "fraudulent", "requested_by_customer"]),
    "metadata": params.metadata,
    "currency": params.absent,
    "customer": params.absent,
    "instructions_email": params.absent,
    "origin": params.absent,
    "refund_application_fee": params.absent,
    "reverse_transfer": params.absent,
}
UPDATE_FIELDS = {"metadata": params.metadata}


def create(books: Books, wish: dict[str, Any]) -> Object:
    """Give back all or part of a captured charge."""
    charge = _charge(books, wish)
    if charge["disputed"]:
        raise ApiError(f"Charge {charge['id']} has been charged back; cannot issue a refund.", code="charge_disputed")
    left = charge["amount_captured"] - _given_back(books, charge["id"])
    if left == 0:
        raise ApiError(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    amount = wish.get("amount", left)
    if amount > left:
        raise ApiError(
            f"Refund amount ({_money(amount, charge)}) is greater than unrefunded amount on charge "
            f"({_money(left, charge)})",
            param="amount",
        )
    refund: Object = {
        "id": new_id("re"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": books.now,
        "currency": charge["currency"],
        "metadata": params.merge_metadata({}, wish.get("metadata", {})),
        "payment_intent": charge["payment_intent"],
        "reason": wish.get("reason"),
        "receipt_number": None,
        "status": _first_status(books, charge),
    }
    refund["balance_transaction"] = charges.move(books, refund["id"], charge["currency"], -amount, 0, "refund")["id"]
    books.add(refund)
    before = {"amount_refunded": charge["amount_refunded"], "refunded": charge["refunded"]}
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] >= charge["amount"]
    books.save(charge)
    books.emit("refund.created", refund)
    books.emit("charge.refunded", charge, before)
    return refund


def update(books: Books, refund: Object, wish: dict[str, Any]) -> Object:
    """Change the refund's metadata."""
    before = {"metadata": refund["metadata"]}
    refund["metadata"] = params.merge_metadata(refund["metadata"], wish.get("metadata", {}))
    books.emit("refund.updated", books.save(refund), before)
    return refund


def succeed(books: Books, refund: Object) -> Object:
    """Let the bank confirm a pending refund."""
    if refund["status"] != "pending":
        raise ApiError(f"Refund {refund['id']} is {refund['status']}, not pending.")
    before = {"status": refund["status"]}
    refund["status"] = "succeeded"
    books.emit("refund.updated", books.save(refund), before)
    books.emit("charge.refund.updated", refund, before)
    return refund


def fail(books: Books, refund: Object) -> Object:
    """Let the bank send the money of a refund back, also of one that looked fine."""
    if refund["status"] not in ("pending", "succeeded"):
        raise ApiError(f"Refund {refund['id']} is {refund['status']} and cannot fail.")
    before = {"status": refund["status"]}
    move = charges.move(books, refund["id"], refund["currency"], refund["amount"], 0, "refund_failure")
    refund |= {
        "status": "failed",
        "failure_reason": "lost_or_stolen_card",
        "failure_balance_transaction": move["id"],
    }
    charge = books.find("charge", refund["charge"])
    charge["amount_refunded"] -= refund["amount"]
    charge["refunded"] = False
    books.save(charge)
    books.save(refund)
    for kind in ("refund.updated", "charge.refund.updated", "refund.failed"):
        books.emit(kind, refund, before)
    return refund


def _first_status(books: Books, charge: Object) -> str:
    method = books.peek(charge["payment_method"])
    return "pending" if method and methods.card_of(method).refund == "pending" else "succeeded"


def _charge(books: Books, wish: dict[str, Any]) -> Object:
    if ("charge" in wish) == ("payment_intent" in wish):
        raise ApiError("One of the following params should be provided for this request: payment_intent or charge.")
    if "charge" in wish:
        charge = books.find("charge", wish["charge"], "charge")
    else:
        intent = books.find("payment_intent", wish["payment_intent"], "payment_intent")
        charge = books.peek(intent["latest_charge"] or "") or {}
    if not charge.get("captured"):
        subject = (
            f"PaymentIntent ({wish['payment_intent']})" if "payment_intent" in wish else f"charge ({charge['id']})"
        )
        raise ApiError(f"This {subject} does not have a successful charge to refund.")
    return charge


def _given_back(books: Books, charge: str) -> int:
    return sum(
        refund["amount"]
        for refund in books.every("refund")
        if refund["charge"] == charge and refund["status"] not in ("failed", "canceled")
    )


def _money(amount: int, charge: Object) -> str:
    return f"{charge['currency'].upper()} {amount / 100:.2f}"
