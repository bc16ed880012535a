"""The reminder itself, with the one-click way to end it (RFC 8058)."""

from __future__ import annotations

from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _

from pasargad.cart.models import Cart
from pasargad.cart.selectors import cart_lines
from pasargad.notifications.content import Content, NotWanted, tidy, writes
from pasargad.notifications.models import Mail

from .services import KIND, may_recall, stop_token


@writes(KIND)
def write(mail: Mail) -> Content:
    cart = Cart.objects.select_related("user").filter(pk=int(mail.key.split("-")[1])).first()
    if cart is None or cart.user is None or not may_recall(cart) or cart.user.email != mail.recipient:
        raise NotWanted("the cart was bought or emptied, or reminders were ended")
    stop = f"{settings.SITE_URL}{reverse('reminders_stop', args=[stop_token(cart.user.pk)])}"
    context = {
        "goods": [(line.quantity, line.variant.product.name) for line in cart_lines(cart)],
        "cart_url": f"{settings.SITE_URL}{reverse('cart')}",
        "stop_url": stop,
        "business": settings.BUSINESS,
        "site_url": settings.SITE_URL,
    }
    return Content(
        subject=_("Your cart at %(shop)s is waiting") % {"shop": settings.BUSINESS.name},
        text=tidy(render_to_string("reminders/mail.txt", context)),
        html=render_to_string("reminders/mail.html", context),
        headers={"List-Unsubscribe": f"<{stop}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"},
        copies=False,
    )
