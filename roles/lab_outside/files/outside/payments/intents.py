"""PaymentIntents: the states a payment passes and what each state allows."""

from __future__ import annotations

from typing import Any

from . import charges, methods, params
from .books import Books, Object, new_id
from .cards import Card
from .errors import ApiError, unexpected_state
from .intent_fields import check_money

CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
CANCELABLE = ("requires_payment_method", "requires_capture", "requires_confirmation", "requires_action", "processing")
CHANGEABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
_FROZEN_MEMBERS = ("amount", "currency", "payment_method", "payment_method_types", "capture_method")


def create(books: Books, wish: dict[str, Any], page_url: str) -> Object:
    """Keep a new intent; with `confirm` also try to collect the money."""
    check_money(wish["amount"], wish["currency"])
    if not wish.get("confirm"):
        for name in ("return_url", "error_on_requires_action"):
            if name in wish:
                raise ApiError(f"`{name}` can only be passed when `confirm` is set to true.", param=name)
    automatic = wish.get("automatic_payment_methods")
    if automatic is None and "payment_method_types" not in wish:
        automatic = {"enabled": True}
    identity = new_id("pi")
    intent: Object = {
        "id": identity,
        "object": "payment_intent",
        "amount": wish["amount"],
        "amount_capturable": 0,
        "amount_received": 0,
        "automatic_payment_methods": ({"allow_redirects": "always"} | automatic) if automatic else None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": wish.get("capture_method", "automatic_async"),
        "client_secret": new_id(f"{identity}_secret", 25),
        "confirmation_method": "automatic",
        "created": books.now,
        "currency": wish["currency"],
        "customer": None,
        "description": wish.get("description"),
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": params.merge_metadata({}, wish.get("metadata", {})),
        "next_action": None,
        "payment_method": None,
        "payment_method_types": wish.get("payment_method_types", ["card"]),
        "processing": None,
        "receipt_email": wish.get("receipt_email"),
        "shipping": wish.get("shipping"),
        "statement_descriptor": None,
        "statement_descriptor_suffix": wish.get("statement_descriptor_suffix"),
        "status": "requires_payment_method",
    }
    if "payment_method" in wish:
        intent["payment_method"] = methods.resolve(books, wish["payment_method"])["id"]
        intent["status"] = "requires_confirmation"
    books.add(intent)
    books.emit("payment_intent.created", intent)
    return confirm(books, intent, wish, page_url) if wish.get("confirm") else intent


def update(books: Books, intent: Object, wish: dict[str, Any]) -> Object:
    """Change what the intent's state still allows to change."""
    for name in _FROZEN_MEMBERS:
        if name in wish and intent["status"] not in CHANGEABLE:
            raise unexpected_state(
                f"This PaymentIntent's {name} could not be updated because it has a status of {intent['status']}. "
                f"You may only update the {name} of a PaymentIntent with one of the following statuses: "
                f"{', '.join(CHANGEABLE)}.",
                intent,
            )
    money = {name: intent[name] for name in ("amount", "currency")}
    wished_money = money | {name: wish[name] for name in money if name in wish}
    check_money(**wished_money)
    wish = dict(wish)
    if "payment_method" in wish:
        intent |= {"payment_method": methods.resolve(books, wish.pop("payment_method"))["id"], "next_action": None}
        intent["status"] = "requires_confirmation"
    elif wished_money != money and intent["status"] == "requires_action":
        # What the shopper was about to approve at the bank is no longer what would be charged.
        intent |= {"status": "requires_confirmation", "next_action": None}
    if "metadata" in wish:
        intent["metadata"] = params.merge_metadata(intent["metadata"], wish.pop("metadata"))
    return books.save(intent | wish)


def confirm(books: Books, intent: Object, wish: dict[str, Any], page_url: str) -> Object:
    """Try to collect the money; `page_url` is where the shopper's bank would ask for approval."""
    _refuse_unconfirmable(intent)
    if "payment_method" in wish:
        intent["payment_method"] = methods.resolve(books, wish["payment_method"])["id"]
    if intent["payment_method"] is None:
        raise unexpected_state(
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the "
            "PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a "
            "payment method or ConfirmationToken.",
            intent,
        )
    automatic = intent["automatic_payment_methods"]
    if automatic and automatic["allow_redirects"] == "always" and "return_url" not in wish:
        raise ApiError(
            "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Because some of "
            "these payment methods might redirect your customer off of your page, you must provide a `return_url`. If "
            "you don't want to accept redirect-based payment methods, set `automatic_payment_methods[enabled]` to "
            "`true` and `automatic_payment_methods[allow_redirects]` to `never` when creating Setup Intents and "
            "Payment Intents.",
            param="return_url",
        )
    for name in ("receipt_email", "shipping", "capture_method", "payment_method_types"):
        if name in wish:
            intent[name] = wish[name]
    method = books.find("payment_method", intent["payment_method"], "payment_method")
    card = methods.card_of(method)
    intent |= {"last_payment_error": None, "next_action": None}
    if card.authenticate:
        if wish.get("error_on_requires_action"):
            raise _refuse(books, intent, method, _authentication_error(method))
        return _ask_shopper(books, intent, wish.get("return_url"), page_url)
    return collect(books, intent, method, card)


def collect(books: Books, intent: Object, method: Object, card: Card) -> Object:
    """Charge the card; a refusal is raised after it is recorded."""
    capture = intent["capture_method"] != "manual"
    charge = charges.attempt(books, intent, method, card, capture=capture)
    intent |= {"latest_charge": charge["id"], "next_action": None}
    if card.refusal is not None:
        raise _refuse(books, intent, method, charges.card_error(charge, method, card))
    if capture:
        intent |= {"status": "succeeded", "amount_received": intent["amount"]}
    else:
        intent |= {"status": "requires_capture", "amount_capturable": intent["amount"]}
    books.save(intent)
    books.emit("payment_intent.succeeded" if capture else "payment_intent.amount_capturable_updated", intent)
    return intent


def authenticate(books: Books, intent: Object, *, approved: bool) -> Object:
    """Carry on after the shopper answered the bank; a refusal is raised after it is recorded."""
    if intent["status"] != "requires_action":
        raise unexpected_state(
            f"This PaymentIntent has a status of {intent['status']}; nothing awaits approval.", intent
        )
    method = books.find("payment_method", intent["payment_method"], "payment_method")
    if approved:
        return collect(books, intent, method, methods.card_of(method))
    raise _refuse(books, intent, method, _authentication_error(method))


def cancel(books: Books, intent: Object, wish: dict[str, Any]) -> Object:
    """Give the payment up; an authorisation is released."""
    if intent["status"] not in CANCELABLE:
        raise unexpected_state(
            f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}. Only a "
            f"PaymentIntent with one of the following statuses may be canceled: {', '.join(CANCELABLE)}.",
            intent,
        )
    if intent["status"] == "requires_capture":
        charge = books.find("charge", intent["latest_charge"])
        charge |= {"amount_refunded": charge["amount"], "refunded": True}
        books.emit("charge.refunded", books.save(charge))
    intent |= {
        "status": "canceled",
        "canceled_at": books.now,
        "cancellation_reason": wish.get("cancellation_reason"),
        "next_action": None,
        "amount_capturable": 0,
    }
    books.save(intent)
    books.emit("payment_intent.canceled", intent)
    return intent


def capture(books: Books, intent: Object, wish: dict[str, Any]) -> Object:
    """Collect an authorised payment, or part of it."""
    if intent["status"] != "requires_capture":
        raise unexpected_state(
            "This PaymentIntent could not be captured because it has a status of "
            f"{intent['status']}. Only a PaymentIntent with one of the following statuses may be captured: "
            "requires_capture.",
            intent,
        )
    capturable: int = intent["amount_capturable"]
    amount: int = wish.get("amount_to_capture", capturable)
    if amount > capturable:
        raise ApiError(
            "The payment could not be captured because the requested capture amount is greater than the authorized "
            "amount.",
            code="amount_too_large",
            param="amount_to_capture",
        )
    charge = books.find("charge", intent["latest_charge"])
    charges.settle(books, charge, amount)
    books.emit("charge.captured", charge)
    intent |= {"status": "succeeded", "amount_received": amount, "amount_capturable": 0}
    intent["metadata"] = params.merge_metadata(intent["metadata"], wish.get("metadata", {}))
    books.save(intent)
    books.emit("payment_intent.succeeded", intent)
    return intent


def _refuse_unconfirmable(intent: Object) -> None:
    if intent["status"] == "succeeded":
        raise unexpected_state(
            "You cannot confirm this PaymentIntent because it has already succeeded after being previously confirmed.",
            intent,
        )
    if intent["status"] not in CONFIRMABLE:
        raise unexpected_state(
            f"You cannot confirm this PaymentIntent because it has a status of {intent['status']}. Only a "
            "PaymentIntent with one of the following statuses may be confirmed: requires_confirmation, "
            "requires_action.",
            intent,
        )


def _ask_shopper(books: Books, intent: Object, return_url: str | None, page_url: str) -> Object:
    intent["status"] = "requires_action"
    if return_url:
        url = f"{page_url}/3ds/{intent['id']}?client_secret={intent['client_secret']}"
        intent["next_action"] = {
            "type": "redirect_to_url",
            "redirect_to_url": {"return_url": return_url, "url": url},
        }
    else:
        intent["next_action"] = {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}
    books.save(intent)
    books.emit("payment_intent.requires_action", intent)
    return intent


def _authentication_error(method: Object) -> Object:
    code = "payment_intent_authentication_failure"
    return {
        "code": code,
        "doc_url": f"https://docs.stripe.com/error-codes/{code.replace('_', '-')}",
        "message": "We are unable to authenticate your payment method. Please choose a different payment method and "
        "try again.",
        "payment_method": method,
        "type": "card_error",
    }


def _refuse(books: Books, intent: Object, method: Object, error: Object) -> ApiError:
    """Record the refusal: the payment method is let go and the intent waits for another."""
    intent |= {
        "status": "requires_payment_method",
        "payment_method": None,
        "next_action": None,
        "last_payment_error": error,
    }
    books.save(intent)
    books.emit("payment_intent.payment_failed", intent)
    members = {name: value for name, value in error.items() if name not in ("message", "type", "code", "doc_url")}
    return ApiError(
        error["message"], status=402, kind="card_error", code=error["code"], payment_intent=intent, **members
    )
