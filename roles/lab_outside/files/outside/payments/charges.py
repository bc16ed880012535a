"""Charges and the balance transactions that move money: the provider's own account of what happened."""

from __future__ import annotations

from .books import Books, Object, new_id
from .cards import Card

FEE_PER_MILLE = 29
FEE_FIXED = 30
DISPUTE_FEE = 1500


def attempt(books: Books, intent: Object, method: Object, card: Card, *, capture: bool) -> Object:
    """Keep a charge for the intent's amount; whether it succeeded is the card's doing."""
    failed = card.refusal is not None
    charge: Object = {
        "id": new_id("ch"),
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": 0,
        "amount_refunded": 0,
        "balance_transaction": None,
        "billing_details": method["billing_details"],
        "captured": False,
        "created": books.now,
        "currency": intent["currency"],
        "customer": None,
        "description": intent["description"],
        "disputed": False,
        "failure_code": card.code if failed else None,
        "failure_message": card.message if failed else None,
        "livemode": False,
        "metadata": intent["metadata"],
        "outcome": _outcome(card),
        "paid": not failed,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": {"card": method["card"], "type": "card"},
        "receipt_email": intent["receipt_email"],
        "refunded": False,
        "shipping": intent["shipping"],
        "status": "failed" if failed else "succeeded",
    }
    books.add(charge)
    if capture and not failed:
        settle(books, charge, intent["amount"])
    books.emit("charge.failed" if failed else "charge.succeeded", charge)
    return charge


def settle(books: Books, charge: Object, amount: int) -> None:
    """Capture `amount` of an authorised charge."""
    charge |= {"captured": True, "amount_captured": amount}
    charge["amount_refunded"] = charge["amount"] - amount
    fee = (amount * FEE_PER_MILLE + 999) // 1000 + FEE_FIXED
    charge["balance_transaction"] = move(books, charge["id"], charge["currency"], amount, fee, "charge")["id"]
    books.save(charge)


def move(books: Books, source: str, currency: str, amount: int, fee: int, kind: str) -> Object:
    """Keep a balance transaction; `amount` is negative where money leaves the merchant."""
    return books.add(
        {
            "id": new_id("txn"),
            "object": "balance_transaction",
            "amount": amount,
            "available_on": books.now + 2 * 86400,
            "created": books.now,
            "currency": currency,
            "description": None,
            "fee": fee,
            "fee_details": [
                {"amount": fee, "currency": currency, "description": "Stripe processing fees", "type": "stripe_fee"}
            ]
            if fee
            else [],
            "net": amount - fee,
            "reporting_category": kind,
            "source": source,
            "status": "pending",
            "type": kind,
        }
    )


def _outcome(card: Card) -> Object:
    if card.refusal is None:
        return {"network_status": "approved_by_network", "reason": None, "type": "authorized"}
    return {"network_status": "declined_by_network", "reason": card.refusal, "type": "issuer_declined"}


def card_error(charge: Object, method: Object, card: Card) -> Object:
    """Return the error object of a refused charge, as it stands in replies and in last_payment_error."""
    error = {
        "charge": charge["id"],
        "code": card.code,
        "doc_url": f"https://docs.stripe.com/error-codes/{card.code.replace('_', '-')}",
        "message": card.message,
        "payment_method": method,
        "type": "card_error",
    }
    if card.refusal and card.refusal != card.code:
        error["decline_code"] = card.refusal
    return error
