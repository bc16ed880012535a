"""Which language a page is in: its path says so, and nothing else (docs/decisions/languages.md).

The shop's own language has no prefix; every other one has its code: `/shop/` and `/fa/shop/`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from django.conf import settings
from django.utils.translation import get_language_info


@dataclass(frozen=True)
class Spoken:
    """A language of the shop, by the name that its speakers give it."""

    code: str
    name: str


def spoken() -> tuple[Spoken, ...]:
    """Return the shop's languages, its own first."""
    return _spoken(settings.LANGUAGE_CODE)


@lru_cache(maxsize=4)
def _spoken(own: str) -> tuple[Spoken, ...]:
    codes = sorted((code for code, _name in settings.LANGUAGES), key=lambda code: code != own)
    return tuple(Spoken(code, str(get_language_info(code)["name_local"])) for code in codes)


def split(path: str) -> tuple[str, str]:
    """Return the language that a path is in, and the path without its prefix."""
    first, _separator, rest = path.removeprefix("/").partition("/")
    if first != settings.LANGUAGE_CODE and first in dict(settings.LANGUAGES):
        # Two slashes at the beginning would name another host.
        return first, f"/{rest.lstrip('/')}"
    return settings.LANGUAGE_CODE, path


def without_prefix(path: str) -> str:
    """Return a path as it is in the shop's own language."""
    return split(path)[1]


def path_in(path: str, code: str) -> str:
    """Return the path (with its query, if it has one) of the same page in another language."""
    plain = without_prefix(path)
    return plain if code == settings.LANGUAGE_CODE else f"/{code}{plain}"


def known(code: str) -> str:
    """Return a language that was noted once; the shop's own for none, and for one that it does not speak any more."""
    return code if code in dict(settings.LANGUAGES) else settings.LANGUAGE_CODE
