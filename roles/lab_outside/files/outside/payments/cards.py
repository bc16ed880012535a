"""Stripe's test cards: what each number and each ready-made payment method does.

Source: https://docs.stripe.com/testing
"""

from __future__ import annotations

from dataclasses import dataclass

CARD_DECLINED = "card_declined"

# decline_code -> what the shopper reads
_DECLINE_TEXT = {
    "generic_decline": "Your card was declined.",
    "insufficient_funds": "Your card has insufficient funds.",
    "lost_card": "Your card was declined.",
    "stolen_card": "Your card was declined.",
    "card_velocity_exceeded": "Your card was declined for making repeated attempts too frequently.",
}
# error codes that stand alone, without decline_code card_declined
_CODE_TEXT = {
    "expired_card": "Your card has expired.",
    "incorrect_cvc": "Your card's security code is incorrect.",
    "processing_error": "An error occurred while processing your card. Try again in a little bit.",
}


@dataclass(frozen=True)
class Card:
    """A test card; `refusal` is the decline or error code its charge ends with, None where it succeeds.

    `refund` is how its refunds begin: pending ones, and failing ones that look fine at first, are decided by a lever.
    """

    number: str
    brand: str = "visa"
    refusal: str | None = None
    authenticate: bool = False
    funding: str = "credit"
    refund: str = "succeeded"

    @property
    def last4(self) -> str:
        """The digits a receipt shows."""
        return self.number[-4:]

    @property
    def code(self) -> str:
        """The error code of its refusal."""
        return self.refusal if self.refusal in _CODE_TEXT else CARD_DECLINED

    @property
    def message(self) -> str:
        """What the shopper is told when it is refused."""
        return _CODE_TEXT.get(self.refusal or "") or _DECLINE_TEXT[self.refusal or "generic_decline"]


_CARDS = [
    Card("4242424242424242"),
    Card("4000056655665556", funding="debit"),
    Card("5555555555554444", brand="mastercard"),
    Card("378282246310005", brand="amex"),
    Card("6011111111111117", brand="discover"),
    Card("4000000000007726", refund="pending"),
    Card("4000000000005126", refund="failing"),
    Card("4000000000000002", refusal="generic_decline"),
    Card("4000000000009995", refusal="insufficient_funds"),
    Card("4000000000009987", refusal="lost_card"),
    Card("4000000000009979", refusal="stolen_card"),
    Card("4000000000006975", refusal="card_velocity_exceeded"),
    Card("4000000000000069", refusal="expired_card"),
    Card("4000000000000127", refusal="incorrect_cvc"),
    Card("4000000000000119", refusal="processing_error"),
    Card("4000002500003155", authenticate=True),
    Card("4000002760003184", authenticate=True),
    Card("4000000000003220", authenticate=True),
    Card("4000008400001629", authenticate=True, refusal="generic_decline"),
    Card("4000008260003178", authenticate=True, refusal="insufficient_funds"),
]

BY_NUMBER = {card.number: card for card in _CARDS}

BY_TOKEN = {
    name: BY_NUMBER[number]
    for name, number in {
        "pm_card_visa": "4242424242424242",
        "pm_card_visa_debit": "4000056655665556",
        "pm_card_mastercard": "5555555555554444",
        "pm_card_amex": "378282246310005",
        "pm_card_discover": "6011111111111117",
        "pm_card_pendingRefund": "4000000000007726",
        "pm_card_refundFail": "4000000000005126",
        "pm_card_chargeDeclined": "4000000000000002",
        "pm_card_visa_chargeDeclined": "4000000000000002",
        "pm_card_visa_chargeDeclinedInsufficientFunds": "4000000000009995",
        "pm_card_visa_chargeDeclinedLostCard": "4000000000009987",
        "pm_card_visa_chargeDeclinedStolenCard": "4000000000009979",
        "pm_card_visa_chargeDeclinedVelocityLimitExceeded": "4000000000006975",
        "pm_card_chargeDeclinedExpiredCard": "4000000000000069",
        "pm_card_chargeDeclinedIncorrectCvc": "4000000000000127",
        "pm_card_chargeDeclinedProcessingError": "4000000000000119",
        "pm_card_authenticationRequired": "4000002760003184",
        "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds": "4000008260003178",
        "pm_card_threeDSecure2Required": "4000000000003220",
        "pm_card_threeDSecureRequired": "4000002760003184",
        "pm_card_threeDSecureRequiredChargeDeclined": "4000008400001629",
    }.items()
}


def luhn_valid(number: str) -> bool:
    """Say whether the number's check digit is right."""
    if not number.isdigit() or not 12 <= len(number) <= 19:
        return False
    doubled = [int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(number))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0
