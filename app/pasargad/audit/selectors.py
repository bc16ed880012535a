"""Reading the log, and asking whether it is whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import connection

# Spelt out here too, not taken from the database's own function: who can change the rows may have changed that.
CONTENT = """convert_to(jsonb_build_array(e.id, (extract(epoch FROM e.at) * 1000000)::bigint, e.actor_id, e.actor,
    e.address, e.action, e.target_type, e.target_id, e.target, e.changes, e.request_id)::text, 'UTF8')"""
# ruff: noqa: S608  # nothing here comes from outside
LINKS = f"""
WITH chain AS (
    SELECT l.position, l.previous, l.digest, e.id,
        lag(l.position, 1, %(position)s::bigint) OVER w AS position_before,
        lag(l.digest, 1, decode(%(digest)s, 'hex')) OVER w AS digest_before,
        CASE WHEN e.id IS NOT NULL THEN sha256(l.previous || {CONTENT}) END AS wanted
    FROM (SELECT * FROM audit_link WHERE position > %(position)s ORDER BY position LIMIT %(slice)s) l
    LEFT JOIN audit_entry e ON e.id = l.entry_id
    WINDOW w AS (ORDER BY l.position)
)
SELECT position, encode(digest, 'hex'), position <> position_before + 1, id IS NULL, previous <> digest_before,
    id IS NOT NULL AND wanted <> digest
FROM chain WHERE position <> position_before + 1 OR id IS NULL OR previous <> digest_before OR wanted <> digest
    OR position = (SELECT max(position) FROM chain)
ORDER BY position
"""
COMPLAINTS = (
    "links are missing before this one", "its entry is gone", "it does not follow the link before it",
    "its entry was changed",
)  # fmt: skip
OUTSIDE = """
SELECT 'entry ' || e.id || ' is in no link' FROM audit_entry e
WHERE NOT EXISTS (SELECT FROM audit_link l WHERE l.entry_id = e.id)
UNION ALL SELECT 'guard ' || wanted || ' is missing or off' FROM unnest(%(triggers)s::text[]) AS wanted
WHERE NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgname = wanted AND t.tgenabled = 'O')
ORDER BY 1 LIMIT 100
"""
MOST_PROBLEMS = 100
TRIGGERS = [
    "audit_entry_append_only", "audit_entry_keep", "audit_entry_linked", "audit_entry_stamp", "audit_link_append_only",
    "audit_link_keep", "audit_link_place",
]  # fmt: skip


@dataclass(frozen=True)
class Head:
    """The last link of the chain: kept elsewhere, it shows whether rows were taken off the end."""

    position: int
    digest: str

    def __str__(self) -> str:
        return f"{self.position}:{self.digest}"


def chain_head() -> Head:
    with connection.cursor() as cursor:
        cursor.execute("SELECT position, encode(digest, 'hex') FROM audit_link ORDER BY position DESC LIMIT 1")
        row = cursor.fetchone()
    return Head(*row) if row else Head(0, "0" * 64)


def chain_problems(*, slice_size: int = 20_000) -> list[str]:
    """Return what is wrong with the chain, in words: slice by slice, as the shop's statements may not take long."""
    problems: list[str] = []
    last = Head(0, "0" * 64)
    with connection.cursor() as cursor:
        while len(problems) < MOST_PROBLEMS:
            cursor.execute(LINKS, {"position": last.position, "digest": last.digest, "slice": slice_size})
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            for position, _, *wrong in rows:
                texts = [text for text, found in zip(COMPLAINTS, wrong, strict=True) if found]
                problems += [f"link {position}: {text}" for text in texts]
            if not rows:
                break
            last = Head(rows[-1][0], rows[-1][1])
        cursor.execute(OUTSIDE, {"triggers": TRIGGERS})
        return [*problems, *(text for (text,) in cursor.fetchall())]


def chain_holds(head: Head) -> bool:
    """Whether a head that was read earlier is still in the chain."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT encode(digest, 'hex') FROM audit_link WHERE position = %s", [head.position])
        row = cursor.fetchone()
    return head.position == 0 or (row is not None and row[0] == head.digest)
