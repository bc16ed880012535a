"""What mails say: templates `notifications/<kind>.{txt,html}`, or the one layout for the steps of `steps.py`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse

from pasargad.catalog.money import Money
from pasargad.orders.models import ERASED_EMAIL, Order
from pasargad.orders.presenting import order_view
from pasargad.orders.return_models import ReturnRequest
from pasargad.orders.returns import return_address
from pasargad.shipments.selectors import shipments_of

from .models import Mail
from .steps import STEPS, TO_STAFF, Step


@dataclass(frozen=True)
class Content:
    """What one mail says; `headers` come beside those that every mail has, `copies` lets EMAIL_ORDERS_BCC read it."""

    subject: str
    text: str
    html: str
    headers: Mapping[str, str] = field(default_factory=dict)
    copies: bool = True


class NotWanted(Exception):
    """The reason for a mail is gone: it is not sent."""


Writer = Callable[[Mail], Content]
_writers: dict[str, Writer] = {}


def writes(*kinds: str) -> Callable[[Writer], Writer]:
    """Decorate a function that renders mails of these kinds, in the words of the app that queues them."""

    def register(writer: Writer) -> Writer:
        _writers.update(dict.fromkeys(kinds, writer))
        return writer

    return register


def content_of(mail: Mail) -> Content:
    """Render a mail as things are now; the key of one about an order is the order, then what of it.

    Raises NotWanted.
    """
    if writer := _writers.get(mail.kind):
        return writer(mail)
    order_id, _separator, detail = mail.key.partition(":")
    order = Order.objects.get(pk=int(order_id))
    # Who was erased after the mail was queued is written to no more, whatever address it was queued with.
    if ERASED_EMAIL in (mail.recipient, order.email) and mail.kind not in TO_STAFF:
        raise NotWanted("the buyer was erased")
    context: dict[str, Any] = {
        "order": order_view(order),
        "order_url": f"{settings.SITE_URL}{reverse('order', args=[order.token])}",
        "business": settings.BUSINESS,
        "shipping": settings.SHIPPING,
        "site_url": settings.SITE_URL,
    }
    if step := STEPS.get(mail.kind):
        context |= _of_step(step, mail, order, detail)
        subject, layout = str(context["subject"]), "order_step"
    else:
        subject, layout = render_to_string(f"notifications/{mail.kind}_subject.txt", context), mail.kind
    return Content(
        subject=" ".join(subject.split()),
        text=tidy(render_to_string(f"notifications/{layout}.txt", context)),
        html=render_to_string(f"notifications/{layout}.html", context),
    )


def _of_step(step: Step, mail: Mail, order: Order, detail: str) -> dict[str, Any]:
    """Fill in the words of a step; `detail` is an amount, or a return's id."""
    words = {"number": order.number, "amount": ""}
    context: dict[str, Any] = {"step": step}
    if mail.kind.startswith("return_"):
        request = ReturnRequest.objects.get(pk=int(detail), order=order)
        context["answer"] = request.answer if step.answer else ""
        context["return_to"] = return_address() if mail.kind == "return_accepted" else []
    elif detail:
        words["amount"] = str(Money(int(detail.rpartition(":")[2]), order.currency))
    if step.tracking:
        # Staff may note a handing over without a parcel: then there is nothing to follow.
        context["parcels"] = [parcel for parcel in shipments_of(order) if parcel.tracking_number]
    return context | {
        "subject": str(step.subject) % words,
        "heading": str(step.heading) % words,
        "text": str(step.text) % words,
    }


def tidy(text: str) -> str:
    """Take out what templates' tags leave behind: more than one empty line, and empty ones at the end."""
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"
