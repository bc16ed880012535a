"""Keeps what is searched and filtered of each product in step with the product, its variants and its attributes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from .models import Product, SearchEntry

BATCH = 1000
# Staff write options by hand, so both spellings name the facet.
COLOUR_NAMES = ("colour", "color")

ENTRIES = """
INSERT INTO catalog_searchentry (product_id, name, words, body, facets, indexed_at)
SELECT p.id, p.name,
       concat_ws(' ', p.summary, p.material, shelves.names, spoken.words),
       left(p.description, 4000),
       ARRAY(
         SELECT 'material:' || p.material WHERE p.material <> ''
         UNION SELECT 'colour:' || (choice ->> 1) FROM options WHERE lower(choice ->> 0) = ANY(%(colours)s)
         UNION SELECT 'f-' || code || ':' || value FROM said WHERE is_facet
         ORDER BY 1
       ),
       %(now)s
FROM catalog_product p
JOIN catalog_category c ON c.id = p.category_id
CROSS JOIN LATERAL (
  SELECT string_agg(k.name, ' ') AS names FROM catalog_category k WHERE c.path LIKE k.path || '%%') shelves
CROSS JOIN LATERAL (SELECT string_agg(DISTINCT word, ' ') AS words FROM (
    SELECT choice ->> 1 AS word FROM options UNION ALL SELECT sku FROM own UNION ALL SELECT value FROM said) parts
  ) spoken
WHERE p.id = ANY(%(ids)s)
ON CONFLICT (product_id) DO UPDATE SET name = excluded.name, words = excluded.words, body = excluded.body,
  facets = excluded.facets, indexed_at = excluded.indexed_at
"""

# What the statement above says of one product's variants, options and attributes, spelt out where it is used.
OWN = "(SELECT * FROM catalog_variant v WHERE v.product_id = p.id AND v.is_active) own"
OPTIONS = (
    "(SELECT choice FROM catalog_variant v CROSS JOIN LATERAL jsonb_array_elements("
    "CASE WHEN jsonb_typeof(v.options) = 'array' THEN v.options ELSE '[]'::jsonb END) AS choice "
    "WHERE v.product_id = p.id AND v.is_active AND jsonb_typeof(choice) = 'array' AND choice ->> 1 <> '') options"
)
SAID = (
    "(SELECT a.code, a.is_facet, coalesce(o.value, nullif(av.text, ''), "
    "trim_scale(av.number)::text || CASE WHEN a.unit = '' THEN '' ELSE ' ' || a.unit END) AS value "
    "FROM catalog_attributevalue av JOIN catalog_attribute a ON a.id = av.attribute_id "
    "LEFT JOIN catalog_attributechoice o ON o.id = av.choice_id WHERE av.product_id = p.id) said"
)
ENTRIES = (
    ENTRIES.replace("FROM options", f"FROM {OPTIONS}")
    .replace("FROM own", f"FROM {OWN}")
    .replace("FROM said", f"FROM {SAID}")
)

WORDS = """
INSERT INTO catalog_searchword (word)
SELECT DISTINCT word FROM catalog_searchentry e,
  unnest(tsvector_to_array(to_tsvector('simple', catalog_plain(concat_ws(' ', e.name, e.words, e.body))))) AS word
WHERE e.product_id = ANY(%(ids)s) AND word ~ '^[[:alpha:]]{3,40}$'
ORDER BY word
ON CONFLICT DO NOTHING
"""

FORGOTTEN = """
DELETE FROM catalog_searchword WHERE word NOT IN (
  SELECT word FROM ts_stat($$ SELECT to_tsvector('simple', catalog_plain(concat_ws(' ', name, words, body)))
                              FROM catalog_searchentry $$))
"""


def index_products(ids: Iterable[int]) -> None:
    """Write the search entries of these products anew: two statements."""
    with transaction.atomic(), connection.cursor() as cursor:
        parameters = {"ids": sorted(ids), "now": timezone.now(), "colours": list(COLOUR_NAMES)}
        cursor.execute(ENTRIES, parameters)
        cursor.execute(WORDS, parameters)


def index_stale(*, limit: int = 20_000) -> int:
    """Write the entries of products that changed without us (by an older release, or in bulk); returns how many."""
    before = timezone.now() - timedelta(days=1)
    known = SearchEntry.objects.filter(product=OuterRef("pk"))
    stale = Product.objects.filter(
        ~Exists(known)
        | Exists(
            known.filter(
                Q(indexed_at__lt=OuterRef("updated_at")) | Q(indexed_at__lt=before) | ~Q(name=OuterRef("name"))
            )
        )
    )
    ids = list(stale.order_by("pk").values_list("pk", flat=True)[:limit])
    return _in_batches(ids)


def index_all() -> int:
    """Write every entry anew."""
    return _in_batches(list(Product.objects.order_by("pk").values_list("pk", flat=True)))


def words_forget() -> int:
    """Forget words that no product has any more."""
    with connection.cursor() as cursor:
        cursor.execute(FORGOTTEN)
        return cursor.rowcount


def _in_batches(ids: Sequence[int]) -> int:
    for first in range(0, len(ids), BATCH):
        index_products(ids[first : first + BATCH])
    return len(ids)
