"""Cards of products, rendered once: they are most of the work of a list page, and the same on every page."""

from __future__ import annotations

from collections.abc import Iterable

from django import template
from django.conf import settings
from django.template.loader import get_template
from django.utils.safestring import SafeString
from django.utils.translation import get_language

from pasargad.memory import worked_out

from ..presenting import Card

register = template.Library()


@register.simple_tag
def product_card(card: Card, *, eager: bool = False) -> SafeString:
    """Show a card; `eager` loads its picture at once."""
    # On the workbench a changed template must be seen.
    render = _render if settings.DEBUG else _rendered
    return render(card, eager, get_language())


@register.simple_tag
def product_cards(cards: Iterable[Card], *, eager: int = 0) -> SafeString:
    """Show cards one after another; the pictures of the first ones, `eager` in number, are loaded at once."""
    return SafeString("".join(product_card(card, eager=place < eager) for place, card in enumerate(cards)))


def _render(card: Card, eager: bool, language: str | None) -> SafeString:
    return get_template("storefront/parts/card.html").render({"card": card, "eager": eager})


# A card never changes: one that says something else is another card.
_rendered = worked_out(maxsize=5000)(_render)
