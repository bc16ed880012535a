"""What shoppers read when a coupon does nothing."""

from __future__ import annotations

from django.utils.translation import gettext

from pasargad.catalog.money import Money

from .rules import Offer, Refusal


def say(reason: Refusal, code: str, offer: Offer | None, currency: str) -> str:
    minimum = Money(offer.minimum_minor if offer else 0, currency)
    texts = {
        Refusal.UNKNOWN: gettext("We know no coupon %(code)s. Please check how it is written."),
        Refusal.NOT_YET: gettext("The coupon %(code)s is not valid yet."),
        Refusal.OVER: gettext("The coupon %(code)s has expired."),
        Refusal.USED_UP: gettext("The coupon %(code)s has been used up."),
        Refusal.USED_BY_YOU: gettext("You have used the coupon %(code)s already."),
        Refusal.LOG_IN: gettext("The coupon %(code)s is for customers with an account. Please log in."),
        Refusal.FIRST_ORDER: gettext("The coupon %(code)s is for the first order only."),
        Refusal.MINIMUM: gettext("The coupon %(code)s needs goods worth at least %(minimum)s."),
        Refusal.NOTHING_FITS: gettext("The coupon %(code)s fits nothing in this order."),
        Refusal.OTHERS_SAVE_MORE: gettext(
            "The coupon %(code)s cannot be combined with another offer, which saves you at least as much."
        ),
    }
    return texts[reason] % {"code": code, "minimum": minimum}
