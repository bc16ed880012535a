"""The parameters that PaymentIntent operations take, and the limits on money."""

from __future__ import annotations

from typing import Any

from . import params
from .errors import ApiError
from .methods import ADDRESS

# The smallest charge by currency, in its minor unit: https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts
SMALLEST_AMOUNT = {
    "aud": 50, "brl": 50, "cad": 50, "chf": 50, "czk": 1500, "dkk": 250, "eur": 50, "gbp": 30, "huf": 17500, "inr": 50,
    "jpy": 50, "mxn": 1000, "nok": 300, "nzd": 50, "pln": 200, "sek": 300, "sgd": 50, "usd": 50,
}  # fmt: skip
LARGEST_AMOUNT = 99_999_999


def _currency(name: str, raw: Any) -> str:
    """A currency the account can charge; Stripe answers in lower case."""
    value: str = params.string()(name, raw)
    if value.lower() not in SMALLEST_AMOUNT:
        raise ApiError(
            f"Invalid currency: {value}. Stripe currently supports these currencies: {', '.join(SMALLEST_AMOUNT)}",
            param=name,
        )
    return value.lower()


def check_money(amount: int, currency: str) -> None:
    """Refuse amounts that no charge may have."""
    if amount < SMALLEST_AMOUNT[currency]:
        raise ApiError(
            f"Amount must be at least {SMALLEST_AMOUNT[currency]} of the smallest unit of {currency}",
            code="amount_too_small",
            param="amount",
        )
    if amount > LARGEST_AMOUNT:
        raise ApiError("Amount must be no more than 999,999.99", code="amount_too_large", param="amount")


def _method_type(name: str, raw: Any) -> str:
    if raw != "card":
        raise ApiError(
            f'The payment method type "{raw}" is invalid. Please ensure the provided type is activated in your '
            "dashboard",
            code="payment_intent_invalid_parameter",
            param=name.split("[")[0],
        )
    return "card"


SHIPPING: params.FieldDict = {
    "address": params.Required(params.nested(ADDRESS)),
    "name": params.Required(params.string()),
    "carrier": params.string(clearable=True),
    "phone": params.string(clearable=True),
    "tracking_number": params.string(clearable=True),
}
_COMMON: params.FieldDict = {
    "description": params.string(1000, clearable=True),
    "metadata": params.metadata,
    "statement_descriptor_suffix": params.string(22, clearable=True),
    **params.absent_all("application_fee_amount", "customer", "hooks", "payment_details"),
    **params.absent_all("payment_method_configuration", "statement_descriptor", "transfer_data", "transfer_group"),
}
_HOW_TO_PAY: params.FieldDict = {
    "capture_method": params.choice(["automatic", "automatic_async", "manual"]),
    "payment_method": params.string(),
    "payment_method_types": params.array(_method_type),
    "receipt_email": params.email,
    "shipping": params.nested(SHIPPING, clearable=True),
    **params.absent_all("payment_method_data", "payment_method_options", "setup_future_usage"),
}
_CONFIRMING: params.FieldDict = {
    "error_on_requires_action": params.boolean,
    "return_url": params.url,
    **params.absent_all("confirmation_token", "mandate", "mandate_data", "off_session"),
    **params.absent_all("radar_options", "use_stripe_sdk"),
}
_AUTOMATIC: params.FieldDict = {
    "enabled": params.Required(params.boolean),
    "allow_redirects": params.choice(["always", "never"]),
}

CREATE_FIELDS: params.FieldDict = {
    **_COMMON,
    **_HOW_TO_PAY,
    **_CONFIRMING,
    "amount": params.Required(params.integer(0)),
    "currency": params.Required(_currency),
    "automatic_payment_methods": params.nested(_AUTOMATIC),
    "confirm": params.boolean,
    "confirmation_method": params.choice(["automatic"]),
    **params.absent_all("on_behalf_of", "excluded_payment_method_types"),
}
UPDATE_FIELDS: params.FieldDict = {**_COMMON, **_HOW_TO_PAY, "amount": params.integer(0), "currency": _currency}
CONFIRM_FIELDS: params.FieldDict = {**_HOW_TO_PAY, **_CONFIRMING}
CANCEL_FIELDS: params.FieldDict = {
    "cancellation_reason": params.choice(["duplicate", "fraudulent", "requested_by_customer", "abandoned"])
}
CAPTURE_FIELDS: params.FieldDict = {
    "amount_to_capture": params.integer(1),
    "metadata": params.metadata,
    **params.absent_all("application_fee_amount", "final_capture", "statement_descriptor_suffix"),
}
