"""Lists of products: what matches, in which order, and how much of everything there is to choose from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.db import connection

from pasargad import flags

from .cards import CardRow, cards
from .money import Money
from .searching import query_of

SORTS = {
    "newest": "p.published_at DESC, p.id DESC",
    "price": "p.price_minor, p.id",
    "-price": "p.price_minor DESC, p.id DESC",
    "name": "p.name, p.id",
    "best": "ts_rank_cd('{0.05, 0.2, 0.5, 1}', document, to_tsquery('english', %s)) DESC, published_at DESC, id DESC",
}
# More matches than this are neither ranked nor counted one by one: nobody reads so far, and everybody waits.
RANKED = 5_000
COUNTED = 50_000
# Upper bounds of the price ranges, in major units of the currency.
PRICE_STEPS = (10, 25, 50, 100)

BUYABLE = """EXISTS (SELECT FROM catalog_variant v WHERE v.product_id = p.id AND v.is_active
  AND (v.made_to_order{print} OR v.on_hand > v.reserved AND NOT v.made_to_order))"""
BUYABLE_IDS = """p.id IN (SELECT v.product_id FROM catalog_variant v WHERE v.is_active
  AND (v.made_to_order{print} OR v.on_hand > v.reserved AND NOT v.made_to_order))"""


@dataclass(frozen=True)
class Wanted:
    """What a list is asked for. `facets` are pairs of a name and the values of which any will do."""

    category_path: str = ""
    words: tuple[str, ...] = ()
    facets: tuple[tuple[str, tuple[str, ...]], ...] = ()
    only_available: bool = False
    price: tuple[int, int] | None = None
    sort: str = "newest"

    @property
    def filtered(self) -> bool:
        return bool(self.words or self.facets or self.only_available or self.price)


@dataclass(frozen=True)
class Counts:
    """How many products there are, and how many each further choice would leave; of a facet's own values, how many
    each would show."""

    total: int = 0
    exact: bool = True
    available: int = 0
    values: dict[str, dict[str, int]] = field(default_factory=dict)
    categories: dict[int, int] = field(default_factory=dict)
    prices: dict[int, int] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)


def list_page(wanted: Wanted, *, page: int, size: int) -> tuple[list[CardRow], bool]:
    """Return the cards of a page, and whether there are more: one query, which counts nothing."""
    parts = Statement(wanted)
    ids, parameters = parts.ids(), [*parts.parameters]
    if wanted.sort == "best":
        parameters = [*parameters, query_of(wanted.words)]
    rows = cards(f"{ids} LIMIT %s OFFSET %s", [*parameters, size + 1, (page - 1) * size])
    return rows[:size], len(rows) > size


class Statement:
    """The FROM and WHERE of a list, with the parameters in their order."""

    def __init__(self, wanted: Wanted, *, only_hard: bool = False) -> None:
        self.wanted = wanted
        self.source = "catalog_product p"
        if wanted.words or wanted.facets or only_hard:
            kind = "LEFT JOIN" if only_hard and not wanted.words else "JOIN"
            self.source += f" {kind} catalog_searchentry e ON e.product_id = p.id"
        self.conditions = ["p.state = 'published'"]
        self.parameters: list[Any] = []
        if wanted.category_path:
            self._add(
                "p.category_id IN (SELECT id FROM catalog_category WHERE path LIKE %s)", wanted.category_path + "%"
            )
        if wanted.words:
            self._add("e.document @@ to_tsquery('english', %s)", query_of(wanted.words))
        if not only_hard:
            for _, condition, parameters in soft(wanted):
                self._add(condition, *parameters)

    def _add(self, condition: str, *parameters: Any) -> None:
        self.conditions.append(condition)
        self.parameters += parameters

    @property
    def body(self) -> str:
        return f"FROM {self.source} WHERE {' AND '.join(self.conditions)}"

    def ids(self) -> str:
        order = SORTS[self.wanted.sort]
        if self.wanted.sort == "best":
            # Only texts of this module; what was typed goes in as parameters.
            found = f"SELECT p.id, p.published_at, e.document {self.body} LIMIT {RANKED}"
            return f"SELECT id FROM ({found}) AS found ORDER BY {order}"  # noqa: S608
        return f"SELECT p.id {self.body} ORDER BY {order}"


def soft(wanted: Wanted) -> Iterator[tuple[str, str, list[Any]]]:
    """Give the choices that can be taken back, each with its name, condition and parameters."""
    for name, values in wanted.facets:
        yield name, "coalesce(e.facets && %s::text[], false)", [[f"{name}:{value}" for value in values]]
    if wanted.only_available:
        yield "available", buyable(BUYABLE), []
    if wanted.price:
        yield "price", "p.price_to_minor >= %s AND p.price_minor < %s", [*wanted.price]


def price_scale() -> int:
    """Return the minor units of one major unit of the shop's currency."""
    return int(10 ** Money(0, settings.SHOP.currency).exponent)


def buyable(statement: str) -> str:
    return statement.replace("{print}", "" if flags.is_on("made_to_order") else " AND false")


def counts(wanted: Wanted, *, category_id: int = 0) -> Counts:
    """Return the counts of a list: one query; those of an unfiltered list are kept in the cache for a while."""
    if wanted.filtered:
        return _counts_of(_count(wanted))
    key = f"catalog:counts:{category_id}:{int(flags.is_on('made_to_order'))}"
    text = cache.get(key)
    if text is None:
        text = _count(wanted)
        cache.set(key, text, settings.PAGES.navigation_seconds)
    return _counts_of(text)


def _count(wanted: Wanted) -> str:
    """Count everything at once and return it as JSON text.

    The matching rows are taken once, with a flag for each choice that was made; a facet is counted over the rows that
    all other choices leave.
    """
    parts = Statement(replace(wanted, sort="newest"), only_hard=True)
    flags = list(soft(wanted))
    columns = "".join(f", ({condition}) AS m{place}" for place, (_, condition, _) in enumerate(flags))
    parameters = [value for _, _, values in flags for value in values]
    available = buyable(BUYABLE if wanted.words else BUYABLE_IDS)
    steps = [step * price_scale() for step in PRICE_STEPS]

    def others(name: str) -> str:
        return " AND ".join(f"m{place}" for place, (own, _, _) in enumerate(flags) if own != name) or "true"

    # A facet's own values are counted as if it had no choice; names are parameters, because shoppers can type them.
    chosen = [name for name, _ in wanted.facets]
    cases = "".join(f" WHEN %s THEN {others(name)}" for name in chosen)
    facet_rule = f"CASE split_part(v, ':', 1){cases} ELSE {others('')} END" if chosen else others("")
    statement = f"""
WITH base AS MATERIALIZED (
  SELECT p.id, p.category_id, p.price_minor, coalesce(e.facets, '{{}}') AS facets, ({available}) AS available{columns}
  {parts.body} LIMIT {COUNTED})
SELECT json_build_object(
  'rows', (SELECT count(*) FROM base),
  'total', (SELECT count(*) FROM base WHERE {others("")}),
  'available', (SELECT count(*) FROM base WHERE available AND {others("available")}),
  'values', (SELECT json_object_agg(v, n) FROM (
     SELECT v, count(*) AS n FROM base, unnest(facets) AS v WHERE {facet_rule} GROUP BY v) f),
  'categories', (SELECT json_object_agg(category_id, n) FROM (
     SELECT category_id, count(*) AS n FROM base WHERE {others("")} GROUP BY category_id) c),
  'prices', (SELECT json_object_agg(step, n) FROM (
     SELECT width_bucket(price_minor, %s::integer[]) AS step, count(*) AS n
     FROM base WHERE {others("price")} GROUP BY step) w),
  'labels', (SELECT json_object_agg('f-' || code, name) FROM (
     SELECT code, name FROM catalog_attribute WHERE is_facet ORDER BY position, name) a)
)::text
"""  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(statement, [*parameters, *parts.parameters, *chosen, steps])
        return str(cursor.fetchone()[0])


@lru_cache(maxsize=500)
def _counts_of(text: str) -> Counts:
    """Read counts; who asks must not change them, because the same text gives the same object."""
    found = json.loads(text)
    values: dict[str, dict[str, int]] = {}
    for key, number in (found["values"] or {}).items():
        name, _, value = key.partition(":")
        values.setdefault(name, {})[value] = number
    return Counts(
        total=found["total"],
        exact=found["rows"] < COUNTED,
        available=found["available"],
        values=values,
        categories={int(key): number for key, number in (found["categories"] or {}).items()},
        prices={int(key): number for key, number in (found["prices"] or {}).items()},
        labels=found["labels"] or {},
    )
