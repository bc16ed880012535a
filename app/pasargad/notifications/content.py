"""What mails say: templates `notifications/<kind>.{txt,html}` and `<kind>_subject.txt`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.conf import settings
from django.template.loader import render_to_string

from pasargad.orders.models import Order
from pasargad.orders.presenting import order_view

from .models import Mail


@dataclass(frozen=True)
class Content:
    subject: str
    text: str
    html: str


def content_of(mail: Mail) -> Content:
    """Render a mail about an order, as the order is now."""
    order = order_view(Order.objects.get(pk=int(mail.key)))
    context = {
        "order": order,
        "order_url": f"{settings.SITE_URL}/orders/{order.token}/",
        "business": settings.BUSINESS,
        "shipping": settings.SHIPPING,
        "site_url": settings.SITE_URL,
    }
    subject = render_to_string(f"notifications/{mail.kind}_subject.txt", context)
    return Content(
        subject=" ".join(subject.split()),
        text=_tidy(render_to_string(f"notifications/{mail.kind}.txt", context)),
        html=render_to_string(f"notifications/{mail.kind}.html", context),
    )


def _tidy(text: str) -> str:
    """Take out what templates' tags leave behind: more than one empty line, and empty ones at the end."""
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"
