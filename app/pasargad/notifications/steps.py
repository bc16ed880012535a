"""What the mails of the single steps say; one layout shows them all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as Text


ORDER = _("The order")


@dataclass(frozen=True)
class Step:
    """`%(number)s` is the order's; `%(amount)s` and `%(answer)s` belong to refunds and returns."""

    subject: Text
    heading: Text
    text: Text
    link: Text | str = ORDER
    goods: bool = False
    tracking: bool = False
    address: bool = False
    answer: bool = False
    to_staff: bool = False


STEPS: dict[str, Step] = {
    "order_placed": Step(
        _("Your order %(number)s waits for its payment"),
        _("We hold your goods for you"),
        _("Your order %(number)s has arrived and is yours as soon as it is paid."),
        link=_("Pay now"),
        goods=True,
    ),
    "order_processing": Step(
        _("Your order %(number)s is being made"),
        _("We are at it"),
        _("Your order %(number)s is being made. We write again when it is ready."),
    ),
    "order_ready_for_pickup": Step(
        _("Your order %(number)s waits for you"),
        _("Ready to be picked up"),
        _("Your order %(number)s is ready. Please bring its number when you come."),
        address=True,
    ),
    "order_shipped": Step(
        _("Your order %(number)s is on its way"),
        _("On its way"),
        _("We have handed your order %(number)s over to the carrier."),
        goods=True,
        tracking=True,
        address=True,
    ),
    "order_delivered": Step(
        _("Your order %(number)s has arrived"),
        _("Delivered"),
        _(
            "Your order %(number)s has been delivered. If something is not as it should be, you can ask for a return "
            "on its page."
        ),
    ),
    "order_expired": Step(
        _("Your order %(number)s was not paid in time"),
        _("We released the goods"),
        _("Your order %(number)s was not paid in time, so we released its goods. Nothing was charged."),
    ),
    "order_cancelled": Step(
        _("Your order %(number)s was cancelled"),
        _("Cancelled"),
        _("Your order %(number)s was cancelled. Nothing was charged."),
    ),
    "order_refund_due": Step(
        _("We give you the money for order %(number)s back"),
        _("Your money is coming back"),
        _(
            "We do not fulfil order %(number)s and send your money back the way it came. We write again when it is "
            "sent."
        ),
    ),
    "refund_sent": Step(
        _("We have sent you %(amount)s back"),
        _("Part of your money is on its way back"),
        _(
            "We have sent %(amount)s for order %(number)s back the way it came. Your bank may take up to ten days to "
            "show it."
        ),
    ),
    "return_requested": Step(
        _("We have received your request to return something of order %(number)s"),
        _("We look at your return"),
        _("You would like to return something of order %(number)s. We answer within two working days."),
    ),
    "return_accepted": Step(
        _("Please send us what you return of order %(number)s"),
        _("We take it back"),
        _("Please pack everything well, write the number %(number)s on the parcel, and send it to us."),
        answer=True,
    ),
    "return_refused": Step(
        _("About your return for order %(number)s"),
        _("We cannot take it back"),
        _("We have looked at your request for order %(number)s and cannot take the goods back."),
        answer=True,
    ),
    "return_closed": Step(
        _("Your return for order %(number)s is closed"),
        _("Your return is closed"),
        _("Your return for order %(number)s is closed without a refund."),
        answer=True,
    ),
    "return_received": Step(
        _("Your return for order %(number)s has arrived"),
        _("It is here"),
        _("What you sent back of order %(number)s has arrived. Your money follows within five working days."),
    ),
    "staff_dispute": Step(
        _("Order %(number)s: the bank disputes the payment"),
        _("A payment is disputed"),
        _(
            "The bank of the shopper disputes the payment of order %(number)s (%(amount)s). Answer it on the pages of "
            "the payment provider before the date given there."
        ),
        to_staff=True,
    ),
}
# Mails about an order that do not go to its buyer: they outlive the buyer's data.
TO_STAFF = frozenset(kind for kind, step in STEPS.items() if step.to_staff)
