"""Cards of products, rendered once: they are most of the work of a list page, and the same on every page."""

from __future__ import annotations

from functools import lru_cache

from django import template
from django.conf import settings
from django.template.loader import get_template
from django.utils.safestring import SafeString
from django.utils.translation import get_language

from ..presenting import Card

register = template.Library()


@register.simple_tag
def product_card(card: Card, *, eager: bool = False) -> SafeString:
    """Show a card; `eager` loads its picture at once."""
    # On the workbench a changed template must be seen.
    render = _render if settings.DEBUG else _rendered
    return render(card, eager, get_language())


def _render(card: Card, eager: bool, language: str | None) -> SafeString:
    return get_template("storefront/parts/card.html").render({"card": card, "eager": eager})


# A card is a value: everything that is shown is in the key, so what is kept cannot be out of date.
_rendered = lru_cache(maxsize=5000)(_render)
