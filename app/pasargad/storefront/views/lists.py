"""Lists of products: everything, a category, or what a search finds, narrowed down by a form that needs no script."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from pasargad import flags
from pasargad.catalog import listing, searching, selectors
from pasargad.catalog.cards import cards_newest
from pasargad.catalog.models import Category, Kind

from .. import facets, presenting
from ..caching import shared
from ..limits import limited
from ..paging import Parameters, address, paginate
from ..presenting import Choice
from ..structured import as_script, breadcrumb_list

SORT_LABELS = {
    "best": gettext_lazy("Best match"),
    "newest": gettext_lazy("Newest"),
    "price": gettext_lazy("Price: low to high"),
    "-price": gettext_lazy("Price: high to low"),
    "name": gettext_lazy("Name"),
}
LONGEST_QUERY = 80
CONSOLATION_CARDS = 4
NUMBER = re.compile(r"[1-9][0-9]{0,4}")


@dataclass(frozen=True)
class Asked:
    """What an address asks for."""

    query: str
    sort: str
    page: int
    chosen: facets.Chosen

    @property
    def usual_sort(self) -> str:
        return "best" if self.query else "newest"

    @property
    def parameters(self) -> Parameters:
        sort = "" if self.sort == self.usual_sort else self.sort
        return {"q": self.query, "sort": sort, **self.chosen.parameters}


@shared
@require_safe
@limited("search", methods=("GET",))
def _search(request: HttpRequest) -> HttpResponse:
    return _list(request, None)


@require_safe
def product_list(request: HttpRequest) -> HttpResponse:
    """All goods, or those that a search finds; searching costs more, so only it is limited."""
    return _search(request) if request.GET.get("q") else _all(request)


@shared
def _all(request: HttpRequest) -> HttpResponse:
    return _list(request, None)


@shared
@require_safe
def category(request: HttpRequest, slug: str) -> HttpResponse:
    found = Category.objects.filter(slug=slug, is_active=True).first()
    if found is None:
        if now := selectors.slug_now(Kind.CATEGORY, slug):
            return moved(request, reverse("category", args=[now]))
        raise Http404
    return _list(request, found)


def moved(request: HttpRequest, path: str) -> HttpResponse:
    """Lead an old address to its new one, with what was asked there."""
    query = request.META.get("QUERY_STRING", "")
    return HttpResponsePermanentRedirect(f"{path}?{query}" if query else path)


def _list(request: HttpRequest, category: Category | None) -> HttpResponse:
    path = reverse("category", args=[category.slug]) if category else reverse("product_list")
    asked = _asked(request)
    typed = searching.words_of(asked.query)
    words = searching.corrected(typed) if typed else ()
    wanted = listing.Wanted(
        category_path=category.path if category else "",
        words=words,
        facets=asked.chosen.values,
        only_available=asked.chosen.only_available,
        price=asked.chosen.price_minor,
        sort=asked.sort if words else "newest" if asked.sort == "best" else asked.sort,
    )
    counts = listing.counts(wanted, category_id=category.pk if category else 0)
    size = settings.SHOP.page_size
    rows, more = _rows(wanted, counts, asked, size, nothing=bool(asked.query and not words))
    tree = selectors.category_tree()
    way = selectors.branch_path(tree, category.slug) if category else []
    trail = presenting.crumbs(way) if category else []
    below = way[-1].children if way else (() if category else tree)
    parameters = asked.parameters
    total = max(counts.total, (asked.page - 1) * size + len(rows) + more) if rows else 0
    context: dict[str, Any] = {
        "title": _title(category, asked.query),
        "category": category,
        "breadcrumbs": trail,
        "structured_data": as_script([breadcrumb_list(trail)]) if category else "",
        "navigation": presenting.nodes(tree),
        "categories": presenting.nodes(below),
        "cards": [presenting.card(row) for row in rows],
        "page": paginate(asked.page, size, total, path, parameters, more=more, exact=counts.exact),
        "sorts": _sorts(path, asked),
        "filters": _filters(path, asked),
        "facets": facets.facet_views(asked.chosen, counts),
        "kinds": _kinds(tree, counts, asked) if words else (),
        "chosen": _chosen(path, asked),
        "everything": category is None and not asked.query,
        "path": path,
        "q": asked.query,
        "sort": parameters["sort"],
        "searched": " ".join(words) if words != typed else "",
        "narrowed": wanted.filtered or asked.sort != asked.usual_sort,
    }
    if not rows and asked.query:
        context["consolation"] = [presenting.card(row) for row in cards_newest(CONSOLATION_CARDS)]
    return render(request, "storefront/product_list.html", context)


def _rows(wanted: listing.Wanted, counts: listing.Counts, asked: Asked, size: int, *, nothing: bool) -> Any:
    """Return the cards and whether more follow; a page behind the last one does not exist."""
    if nothing:
        return [], False
    rows, more = listing.list_page(wanted, page=asked.page, size=size)
    if asked.page > 1 and not rows:
        raise Http404
    return rows, more


def _asked(request: HttpRequest) -> Asked:
    """Return what the address asks for; what makes no sense is an unknown page."""
    query = " ".join(request.GET.get("q", "").replace("\0", "").split())[:LONGEST_QUERY]
    if not flags.is_on("search"):
        query = ""
    number = request.GET.get("page", "1")
    sort = request.GET.get("sort", "best" if query else "newest")
    if sort not in SORT_LABELS or (sort == "best" and not query) or not NUMBER.fullmatch(number):
        raise Http404
    return Asked(query, sort, int(number), facets.chosen(request.GET))


def _title(category: Category | None, query: str) -> str:
    if query:
        return _("Search: %(query)s") % {"query": query}
    return category.name if category else _("All prints")


def _sorts(path: str, asked: Asked) -> tuple[Choice, ...]:
    return tuple(
        Choice(
            str(label),
            value,
            address(path, {**asked.parameters, "sort": "" if value == asked.usual_sort else value}),
            value == asked.sort,
        )
        for value, label in SORT_LABELS.items()
        if value != "best" or asked.query
    )


def _filters(path: str, asked: Asked) -> tuple[Choice, ...]:
    on = asked.chosen.only_available
    url = address(path, {**asked.parameters, "available": "" if on else "1"})
    return (Choice(_("Available only"), "1", url, on),)


def _chosen(path: str, asked: Asked) -> tuple[Choice, ...]:
    """Each choice that was made, with the address of the list without it."""
    return tuple(
        Choice(label, name, address(path, {**asked.parameters, name: rest}), True)
        for name, label, rest in asked.chosen.each()
    )


def _kinds(tree: tuple[selectors.Branch, ...], counts: listing.Counts, asked: Asked) -> tuple[Choice, ...]:
    """Where a search found something, with how much."""

    def number(branch: selectors.Branch) -> int:
        return counts.categories.get(branch.id, 0) + sum(map(number, branch.children))

    return tuple(
        Choice(branch.name, str(found), address(reverse("category", args=[branch.slug]), {"q": asked.query}), False)
        for branch in tree
        if (found := number(branch))
    )
