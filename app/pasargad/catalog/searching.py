"""From what somebody typed to words that the catalogue knows."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from django.db import connection

MOST_WORDS = 6
# Shorter words have too many neighbours to guess among.
SHORTEST_GUESS = 4
WORD = re.compile(r"[^\W_]+")

NEIGHBOURS = """
SELECT w.word,
       EXISTS (SELECT FROM catalog_searchword s,
                 unnest(array_append(ts_lexize('english_stem', w.word), w.word)) AS stem
               WHERE s.word ~>=~ stem AND s.word ~<~ (stem || chr(1114111)))
         OR ts_lexize('english_stem', w.word) = '{}',
       ARRAY(SELECT s.word FROM catalog_searchword s ORDER BY s.word <-> w.word LIMIT 12)
FROM unnest(%s::text[]) WITH ORDINALITY AS w(word, place) ORDER BY w.place
"""


def words_of(text: str) -> tuple[str, ...]:
    """Return the words of a search, in lower case and without accents, as the catalogue's documents have them."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(sign for sign in plain if not unicodedata.combining(sign))
    return tuple(WORD.findall(bare)[:MOST_WORDS])


def query_of(words: Iterable[str]) -> str:
    """Return a text query that wants every word, or one that begins like it."""
    return " & ".join(f"'{word}':*" for word in words)


def corrected(words: Sequence[str]) -> tuple[str, ...]:
    """Return the words with each unknown one replaced by the nearest known one, if one is near enough: one query."""
    if not words:
        return ()
    with connection.cursor() as cursor:
        cursor.execute(NEIGHBOURS, [list(words)])
        found = cursor.fetchall()
    return tuple(word if known else nearest(word, neighbours) for word, known, neighbours in found)


def nearest(word: str, neighbours: Iterable[str]) -> str:
    """Return the neighbour with the fewest mistakes: one in a short word, two in a long one; else the word itself."""
    if len(word) < SHORTEST_GUESS or not word.isalpha():
        return word
    allowed = 1 if len(word) < 6 else 2
    best, fewest = word, allowed + 1
    for neighbour in neighbours:
        mistakes = distance(word, neighbour)
        if mistakes < fewest:
            best, fewest = neighbour, mistakes
    return best


def distance(first: str, second: str) -> int:
    """Return how many letters must be added, dropped, changed or swapped with the next one."""
    before: list[int] = []
    row = list(range(len(second) + 1))
    for place, letter in enumerate(first, 1):
        above, before, row = before, row, [place]
        for column, other in enumerate(second, 1):
            cost = min(before[column] + 1, row[column - 1] + 1, before[column - 1] + (letter != other))
            swapped = place > 1 and column > 1 and letter == second[column - 2] and first[place - 2] == other
            row.append(min(cost, above[column - 2] + 1) if swapped else cost)
    return row[-1]
