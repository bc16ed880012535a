"""Every flag that code may ask for. A name that is not here is an error, wherever it is asked for.

A flag is taken out of here when the question is settled: then the code says so, and the row in the database is
ignored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings


class FlagError(Exception):
    """Base of what flags refuse."""


class NotDeclared(FlagError):
    """Nobody declared a flag of this name."""


class NotForEverybody(FlagError):
    """A personal flag was asked for where everybody must see the same, or the other way round."""


@dataclass(frozen=True)
class Flag:
    """`default` holds while staff have not switched it, and while neither Redis nor the database answers.

    Only a `personal` flag may be on for some and off for others; it can then not be used on *shared* pages. What is
    `public` is shown by the API to anybody.
    """

    name: str
    owner: str
    about: str
    default: Callable[[], bool]
    personal: bool = False
    public: bool = False


def _on() -> bool:
    return True


FLAGS = {
    flag.name: flag
    for flag in (
        Flag(
            "checkout",
            "orders",
            "Goods can be bought, not only seen.",
            default=lambda: settings.FEATURES.checkout,
            public=True,
        ),
        Flag(
            "search",
            "storefront",
            "The search field, and what it finds.",
            default=lambda: settings.FEATURES.search,
            public=True,
        ),
        Flag(
            "made_to_order",
            "catalog",
            "Sell what is printed after the order.",
            default=lambda: settings.FEATURES.made_to_order,
            public=True,
        ),
        Flag("api", "api", "The JSON API for other programs.", default=_on),
        Flag("webhooks", "webhooks", "Deliver events to other programs; they wait while it is off.", default=_on),
    )
}


def flag_named(name: str) -> Flag:
    """Return a declared flag; raises NotDeclared."""
    try:
        return FLAGS[name]
    except KeyError:
        raise NotDeclared(f"The flag {name!r} is not declared in pasargad/flags/declared.py.") from None
