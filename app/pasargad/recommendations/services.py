"""Works out, inside the database, what is bought together and what is similar."""

from __future__ import annotations

from typing import Any

from django.db import connection, transaction

from pasargad.catalog.models import Product

KEPT = 8
BATCH = 2000
# Neighbours by price in the same category that are compared; all against all would grow with the square.
COMPARED = 15

# Of pairs in paid orders of a year, those that come together more often than their own popularity explains.
TOGETHER = """
WITH bought AS MATERIALIZED (
  SELECT DISTINCT l.order_id, v.product_id
  FROM orders_orderline l JOIN orders_order o ON o.id = l.order_id JOIN catalog_variant v ON v.id = l.variant_id
  WHERE o.status IN ('paid', 'processing', 'ready_for_pickup', 'shipped', 'delivered')
    AND o.placed_at > now() - interval '365 days'),
popular AS (SELECT product_id, count(*) AS orders FROM bought GROUP BY product_id),
pairs AS (
  SELECT a.product_id, b.product_id AS other_id, count(*) AS orders
  FROM bought a JOIN bought b ON b.order_id = a.order_id AND b.product_id <> a.product_id
  GROUP BY a.product_id, b.product_id),
ranked AS (
  SELECT p.product_id, p.other_id, p.orders / sqrt(x.orders::float8 * y.orders) AS score,
         row_number() OVER (PARTITION BY p.product_id
           ORDER BY p.orders / sqrt(x.orders::float8 * y.orders) DESC, p.orders DESC, p.other_id) AS place
  FROM pairs p JOIN popular x ON x.product_id = p.product_id JOIN popular y ON y.product_id = p.other_id)
INSERT INTO recommendations_recommendation (product_id, other_id, kind, score, place)
SELECT product_id, other_id, 'together', score, place FROM ranked WHERE place <= %(kept)s
"""

SIMILAR = """
WITH ranked AS (
  SELECT p.id AS product_id, n.id AS other_id, s.score,
         row_number() OVER (PARTITION BY p.id ORDER BY s.score DESC, abs(n.price_minor - p.price_minor), n.id) AS place
  FROM catalog_product p
  JOIN catalog_searchentry pe ON pe.product_id = p.id
  CROSS JOIN LATERAL (
    (SELECT o.id, o.price_minor FROM catalog_product o WHERE o.category_id = p.category_id AND o.state = 'published'
       AND (o.price_minor, o.id) > (p.price_minor, p.id) ORDER BY o.price_minor, o.id LIMIT %(compared)s)
    UNION ALL
    (SELECT o.id, o.price_minor FROM catalog_product o WHERE o.category_id = p.category_id AND o.state = 'published'
       AND (o.price_minor, o.id) < (p.price_minor, p.id) ORDER BY o.price_minor DESC, o.id DESC LIMIT %(compared)s)
  ) n
  JOIN catalog_searchentry ne ON ne.product_id = n.id
  CROSS JOIN LATERAL (
    SELECT (SELECT count(*) FROM unnest(pe.facets) f WHERE f = ANY(ne.facets))::float8
      / greatest(1, cardinality(pe.facets))
      - abs(n.price_minor - p.price_minor)::float8 / greatest(1, p.price_minor) AS score
  ) s
  WHERE p.state = 'published' AND p.id = ANY(%(ids)s))
INSERT INTO recommendations_recommendation (product_id, other_id, kind, score, place)
SELECT product_id, other_id, 'similar', score, place FROM ranked WHERE place <= %(kept)s
"""


def recommendations_refresh() -> int:
    """Work everything out anew; readers see either the old or the new of each part. Returns how many there are."""
    return together_refresh() + similar_refresh()


def together_refresh() -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        _alone(cursor)
        cursor.execute("DELETE FROM recommendations_recommendation WHERE kind = 'together'")
        cursor.execute(TOGETHER, {"kept": KEPT})
        return cursor.rowcount


def similar_refresh() -> int:
    ids = list(Product.objects.order_by("pk").values_list("pk", flat=True))
    made = 0
    for first in range(0, len(ids), BATCH):
        batch = ids[first : first + BATCH]
        with transaction.atomic(), connection.cursor() as cursor:
            _alone(cursor)
            cursor.execute(
                "DELETE FROM recommendations_recommendation WHERE kind = 'similar' AND product_id = ANY(%s)", [batch]
            )
            cursor.execute(SIMILAR, {"ids": batch, "kept": KEPT, "compared": COMPARED})
            made += cursor.rowcount
    return made


def _alone(cursor: Any) -> None:
    """A task may be run twice at once, when its first worker seemed dead: the second waits."""
    cursor.execute("SELECT pg_advisory_xact_lock(hashtext('recommendations'))")
