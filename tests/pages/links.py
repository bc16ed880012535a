"""Follows every link, picture, style, script and fragment inside the shop."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import parse_qs, urldefrag, urljoin, urlsplit

from .client import Answer
from .findings import Finding

REDIRECTS = (301, 302, 303, 307, 308)
LONGEST_WAY = 5
CSS_ADDRESS = re.compile(r"url\(\s*['\"]?([^'\")]+)['\"]?\s*\)")
# Choices of a list make more addresses than anybody can look at: these are asked for, and not followed further.
FOLLOWED_PARAMETERS = {"page"}


@dataclass
class Outline(HTMLParser):
    """What a page leads to, and the places in it that others may lead to."""

    links: set[str] = field(default_factory=set)
    places: set[str] = field(default_factory=set)
    twice: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if place := given.get("id"):
            (self.twice if place in self.places else self.places).add(place)
        if tag == "form" and given.get("method", "get").lower() == "get":
            self.links.add(given.get("action", ""))
        if tag == "meta" and given.get("property") in ("og:image", "og:url"):
            self.links.add(given.get("content", ""))
        if tag == "base":
            self.links.add("base elements are not followed")
        for name in ("href", "src", "poster", "data-model"):
            if tag != "form" and name in given:
                self.links.add(given[name])
        for part in given.get("srcset", "").split(","):
            if part.strip():
                self.links.add(part.split()[0])


def broken(get: Callable[[str], Answer], origin: str, seeds: Iterable[str]) -> Iterator[Finding]:
    """Walk from the seeds over everything inside `origin`; yields what leads nowhere."""
    waiting: deque[tuple[str, str]] = deque((urljoin(origin, seed), "the start") for seed in seeds)
    known: dict[str, Outline | None] = {}
    fragments: set[tuple[str, str, str]] = set()
    while waiting:
        address, whence = waiting.popleft()
        whole, fragment = urldefrag(address)
        if fragment:
            fragments.add((whence, whole, fragment))
        if whole in known:
            continue
        answer = _arrive(get, whole, origin)
        known[whole] = None
        if answer is None or answer.status >= 400:
            yield Finding(whence, "link", f"{whole} answers {answer.status if answer else 'with endless redirects'}")
            continue
        outline = known[whole] = _outline(answer)
        if outline.twice:
            yield Finding(whole, "id", f"given twice: {sorted(outline.twice)}")
        if set(parse_qs(urlsplit(whole).query)) <= FOLLOWED_PARAMETERS:
            for link in sorted(outline.links):
                target = urljoin(answer.url, link)
                if target.startswith(f"{origin}/") or target == origin:
                    waiting.append((target, whole))
    for whence, whole, fragment in sorted(fragments):
        outline_there = known.get(whole)
        if outline_there is not None and fragment not in outline_there.places:
            yield Finding(whence, "fragment", f"{whole} has no place #{fragment}")


def _arrive(get: Callable[[str], Answer], address: str, origin: str) -> Answer | None:
    """Follow redirects inside the shop; one that leaves it has arrived."""
    for _ in range(LONGEST_WAY):
        answer = get(address)
        if answer.status not in REDIRECTS:
            return answer
        address = urljoin(address, answer.headers.get("location", ""))
        if not address.startswith(f"{origin}/"):
            return answer
    return None


def _outline(answer: Answer) -> Outline:
    outline = Outline()
    if answer.is_page:
        outline.feed(answer.text)
    elif answer.headers.get("content-type", "").startswith("text/css"):
        outline.links = set(CSS_ADDRESS.findall(answer.text))
        outline.links = {link for link in outline.links if not link.startswith("data:")}
    return outline
