"""Disputes: the shopper's bank takes the money back until the case is decided."""

from __future__ import annotations

from typing import Any

from . import charges, params
from .books import Books, Object, new_id
from .errors import ApiError

UPDATE_FIELDS = {"metadata": params.metadata, "submit": params.boolean, "evidence": params.absent}
OPEN = ("needs_response", "under_review")
REASONS = ("fraudulent", "product_not_received", "general")


def open_case(books: Books, charge: Object, amount: int | None = None, reason: str = "fraudulent") -> Object:
    """Let the bank dispute a captured charge: its money leaves at once."""
    if not charge.get("captured"):
        raise ApiError(f"This charge ({charge['id']}) has no money to dispute.")
    if charge["disputed"]:
        raise ApiError(f"Charge {charge['id']} is disputed already.")
    if reason not in REASONS:
        raise ApiError(f"Invalid reason: must be one of {', '.join(REASONS)}", param="reason")
    amount = charge["amount_captured"] if amount is None else amount
    if not 0 < amount <= charge["amount_captured"]:
        raise ApiError("A dispute is about the captured amount or a part of it.", param="amount")
    dispute: Object = {
        "id": new_id("dp"),
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [],
        "charge": charge["id"],
        "created": books.now,
        "currency": charge["currency"],
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "reason": reason,
        "status": "needs_response",
    }
    move = charges.move(books, dispute["id"], charge["currency"], -amount, charges.DISPUTE_FEE, "adjustment")
    dispute["balance_transactions"] = [move]
    books.add(dispute)
    charge["disputed"] = True
    books.save(charge)
    books.emit("charge.dispute.created", dispute)
    books.emit("charge.dispute.funds_withdrawn", dispute)
    return dispute


def update(books: Books, dispute: Object, wish: dict[str, Any]) -> Object:
    """Change the metadata, or hand the evidence to the bank."""
    _require_open(dispute)
    before = {"metadata": dispute["metadata"], "status": dispute["status"]}
    dispute["metadata"] = params.merge_metadata(dispute["metadata"], wish.get("metadata", {}))
    if wish.get("submit"):
        dispute["status"] = "under_review"
    books.emit("charge.dispute.updated", books.save(dispute), before)
    return dispute


def close(books: Books, dispute: Object, wish: dict[str, Any] | None = None) -> Object:
    """Give the case up, as the merchant may: it is lost."""
    return decide(books, dispute, won=False)


def decide(books: Books, dispute: Object, *, won: bool) -> Object:
    """Let the bank decide; a case that was won brings the money back."""
    _require_open(dispute)
    dispute["status"] = "won" if won else "lost"
    if won:
        back = charges.move(books, dispute["id"], dispute["currency"], dispute["amount"], 0, "adjustment")
        dispute["balance_transactions"].append(back)
        charge = books.find("charge", dispute["charge"])
        books.save(charge | {"disputed": False})
    books.emit("charge.dispute.closed", books.save(dispute))
    if won:
        books.emit("charge.dispute.funds_reinstated", dispute)
    return dispute


def _require_open(dispute: Object) -> None:
    if dispute["status"] not in OPEN:
        raise ApiError("This dispute is already closed.")
