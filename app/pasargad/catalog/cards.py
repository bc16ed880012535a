"""Cards of products: everything that a card shows, of any list of products, by one statement.

Lists are most of what a shop serves, so they are read as rows: building model instances would cost more than all the
rest of the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

from pasargad import flags

from .availability import Availability

# `%s` stands for a statement that gives ids in the order in which they are shown.
CARDS = """
SELECT p.id, p.name, p.slug, p.material, p.published_at, p.price_minor, p.price_to_minor, p.rating_sum, p.rating_count,
       i.digest, i.alt, i.width, i.height, i.color, i.renditions, coalesce(s.pieces, 0), coalesce(s.to_order, false),
       coalesce(s.lead, 0)
FROM unnest(ARRAY({ids})) WITH ORDINALITY AS w(id, place)
JOIN catalog_product p ON p.id = w.id
LEFT JOIN catalog_productimage i ON i.id = p.cover_id
LEFT JOIN LATERAL (
  SELECT max(v.on_hand - v.reserved) FILTER (WHERE NOT v.made_to_order) AS pieces, bool_or(v.made_to_order) AS to_order,
         min(v.lead_days) FILTER (WHERE v.made_to_order) AS lead
  FROM catalog_variant v WHERE v.product_id = p.id AND v.is_active) s ON true
ORDER BY w.place
"""


class Cover(NamedTuple):
    """A picture as it is stored; `renditions` is JSON text, because most of the time nobody has to read it."""

    digest: str
    alt: str
    width: int
    height: int
    color: str
    renditions: str


class CardRow(NamedTuple):
    id: int
    name: str
    slug: str
    material: str
    published_at: datetime | None
    price_minor: int
    price_to_minor: int
    rating_sum: int
    rating_count: int
    cover: Cover | None
    available: Availability


def cards(ids: str, parameters: Sequence[Any]) -> list[CardRow]:
    """Return the cards of the products whose ids a statement gives, in its order: one query."""
    with connection.cursor() as cursor:
        cursor.execute(CARDS.replace("{ids}", ids), parameters)
        rows = cursor.fetchall()
    may_print = flags.is_on("made_to_order")
    return [
        CardRow(
            *row[:9],
            Cover(*row[9:15]) if row[9] else None,
            Availability(max(0, row[15]), row[16] and may_print, row[17]),
        )
        for row in rows
    ]


def cards_of(ids: Sequence[int]) -> list[CardRow]:
    """Return the cards of published products among these, in this order."""
    if not ids:
        return []
    wanted = (
        "SELECT g.id FROM unnest(%s::bigint[]) WITH ORDINALITY AS g(id, place) "
        "JOIN catalog_product p ON p.id = g.id WHERE p.state = 'published' ORDER BY g.place"
    )
    return cards(wanted, [list(ids)])


def cards_of_slugs(slugs: Sequence[str]) -> list[CardRow]:
    """Return the cards of the published products with these slugs, in this order."""
    if not slugs:
        return []
    wanted = (
        "SELECT p.id FROM unnest(%s::text[]) WITH ORDINALITY AS g(slug, place) "
        "JOIN catalog_product p ON p.slug = g.slug WHERE p.state = 'published' ORDER BY g.place"
    )
    return cards(wanted, [list(slugs)])


def cards_featured(count: int) -> list[CardRow]:
    wanted = (
        "SELECT p.id FROM catalog_product p WHERE p.state = 'published' AND p.featured "
        "ORDER BY p.published_at DESC, p.id DESC LIMIT %s"
    )
    return cards(wanted, [count])


def cards_newest(count: int, *, besides: Sequence[int] = ()) -> list[CardRow]:
    """Return what was published last, without what is shown elsewhere."""
    wanted = (
        "SELECT p.id FROM catalog_product p WHERE p.state = 'published' AND p.id <> ALL(%s::bigint[]) "
        "ORDER BY p.published_at DESC, p.id DESC LIMIT %s"
    )
    return cards(wanted, [list(besides), count])
