"""Pages of lists, as links that work without a script."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from django.utils.translation import gettext as _

from .presenting import Choice

Parameters = dict[str, str | tuple[str, ...]]

NEIGHBOURS = 2


@dataclass(frozen=True)
class Page:
    number: int
    count: int
    total: int
    showing: str
    first_url: str
    previous_url: str
    next_url: str
    links: list[Choice]

    @property
    def has_previous(self) -> bool:
        return bool(self.previous_url)

    @property
    def has_next(self) -> bool:
        return bool(self.next_url)


def address(path: str, parameters: Parameters) -> str:
    """Return a path with the parameters that say something, in one order: one list, one cache entry."""
    query = urlencode(sorted((name, value) for name, value in parameters.items() if value), doseq=True)
    return f"{path}?{query}" if query else path


def paginate(
    number: int, size: int, total: int, path: str, parameters: Parameters, *, more: bool = False, exact: bool = True
) -> Page:
    """Describe a page of a list; `more` says that another follows, whatever the total says."""
    count = max(1, -(-total // size), number + more)

    def url(page: int) -> str:
        return address(path, {**parameters, "page": "" if page == 1 else str(page)})

    near = {1, count, *range(number - NEIGHBOURS, number + NEIGHBOURS + 1)}
    links: list[Choice] = []
    previous = 0
    for page in sorted(page for page in near if 1 <= page <= count):
        if page > previous + 1:
            links.append(Choice("…", "…", "", False))
        links.append(Choice(str(page), str(page), url(page), page == number))
        previous = page
    first, last = (number - 1) * size + 1, min(number * size, total)
    whole = str(total) if exact else f"{total}+"
    return Page(
        number=number,
        count=count,
        total=total,
        showing=_("%(first)d–%(last)d of %(total)s") % {"first": first, "last": last, "total": whole},  # noqa: RUF001
        first_url=url(1),
        previous_url=url(number - 1) if number > 1 else "",
        next_url=url(number + 1) if number < count else "",
        links=links if count > 1 else [],
    )
