"""Products and categories, for anybody."""

from __future__ import annotations

from collections import defaultdict

from pasargad import flags
from pasargad.catalog import listing, searching
from pasargad.catalog.keyset import list_after
from pasargad.catalog.models import Category
from pasargad.catalog.selectors import Branch, category_tree, product_detail

from .. import answers, cursors, showing
from ..operations import PUBLIC, Call, operation
from ..problems import Problem
from ..schemas import BIGGEST, ProductQuery

USUAL_SIZE = 24
BUILT_IN = {"material": "Material", "colour": "Colour"}


@operation(
    "GET",
    "/products",
    tag="Catalogue",
    summary="Find products: search, filters, facets",
    access=PUBLIC,
    query=ProductQuery,
    answer=answers.ProductList,
    refusals=True,
)
def products_list(call: Call) -> answers.ProductList:
    asked: ProductQuery = call.query
    typed = searching.words_of(asked.q) if asked.q and flags.is_on("search") else ()
    words = searching.corrected(typed)
    wanted, category_id = _wanted(asked, words)
    if wanted is None or (asked.q and not words):
        return answers.ProductList(items=[], next=None, total=0, exact=True, searched="", facets=[])
    try:
        found = list_after(wanted, after=cursors.place_of(asked), size=asked.limit or USUAL_SIZE)
    except (ValueError, TypeError):
        raise cursors.no_cursor() from None
    counts = None if asked.facets is False else listing.counts(wanted, category_id=category_id)
    return answers.ProductList(
        items=[showing.card(row) for row in found.rows],
        next=cursors.cursor_of(found.after, asked),
        total=counts.total if counts else None,
        exact=counts.exact if counts else True,
        searched=" ".join(words),
        facets=_facets(counts) if counts else [],
    )


@operation(
    "GET",
    "/products/{slug}",
    tag="Catalogue",
    summary="A product with its variants",
    access=PUBLIC,
    answer=answers.ProductShown,
)
def product_show(call: Call) -> answers.ProductShown:
    found = product_detail(call.path["slug"])
    if found is None:
        raise Problem("not-found", "There is no such product.")
    return showing.product(found)


@operation(
    "GET",
    "/categories",
    tag="Catalogue",
    summary="The tree of categories",
    access=PUBLIC,
    answer=answers.CategoryList,
)
def categories_list(call: Call) -> answers.CategoryList:
    return answers.CategoryList(items=[_branch(branch) for branch in category_tree()])


def _branch(branch: Branch) -> answers.CategoryShown:
    return answers.CategoryShown(
        slug=branch.slug,
        name=branch.name,
        count=branch.count,
        children=[_branch(child) for child in branch.children],
    )


def _wanted(asked: ProductQuery, words: tuple[str, ...]) -> tuple[listing.Wanted | None, int]:
    """Return what is looked for, and its category's id; None for a category that is not there."""
    category = None
    if asked.category:
        category = Category.objects.filter(slug=asked.category, is_active=True).first()
        if category is None:
            return None, 0
    price = None
    if asked.price_from is not None or asked.price_below is not None:
        price = (asked.price_from or 0, BIGGEST if asked.price_below is None else asked.price_below)
    wanted = listing.Wanted(
        category_path=category.path if category else "",
        words=words,
        facets=_chosen(asked),
        only_available=bool(asked.available),
        price=price,
        sort=_sort(asked, words),
    )
    return wanted, category.pk if category else 0


def _sort(asked: ProductQuery, words: tuple[str, ...]) -> str:
    """Return an order that the list can have: without words nothing fits best."""
    sort = asked.sort or "best"
    return "newest" if sort == "best" and not words else sort


def _chosen(asked: ProductQuery) -> tuple[tuple[str, tuple[str, ...]], ...]:
    chosen: dict[str, list[str]] = defaultdict(list)
    chosen["material"] += asked.material
    chosen["colour"] += asked.colour
    for pair in asked.attribute:
        code, _colon, value = pair.partition(":")
        chosen[f"f-{code}"].append(value)
    return tuple((name, tuple(sorted(set(values)))) for name, values in sorted(chosen.items()) if values)


def _facets(counts: listing.Counts) -> list[answers.Facet]:
    labels = {**BUILT_IN, **counts.labels}
    return [
        answers.Facet(
            name=name.removeprefix("f-"),
            label=labels.get(name, name),
            values=[
                answers.FacetValue(value=value, count=count)
                for value, count in sorted(values.items(), key=lambda pair: (-pair[1], pair[0]))
            ],
        )
        for name, values in sorted(counts.values.items())
    ]
