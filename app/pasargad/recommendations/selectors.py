"""What pages ask of recommendations."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.db import connection

from pasargad.catalog.cards import CardRow, cards_of

from .models import Kind


@dataclass(frozen=True)
class Recommended:
    together: list[CardRow] = field(default_factory=list)
    similar: list[CardRow] = field(default_factory=list)


def recommended_for(product_id: int, *, count: int = 4) -> Recommended:
    """Return what is bought with a product and what is like it, nothing twice: two queries."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT kind, other_id FROM recommendations_recommendation WHERE product_id = %s ORDER BY place",
            [product_id],
        )
        rows = cursor.fetchall()
    together = [other for kind, other in rows if kind == Kind.TOGETHER]
    similar = [other for kind, other in rows if kind == Kind.SIMILAR and other not in together[:count]]
    found = {row.id: row for row in cards_of([*together, *similar])}
    return Recommended(
        [found[pk] for pk in together if pk in found][:count], [found[pk] for pk in similar if pk in found][:count]
    )
