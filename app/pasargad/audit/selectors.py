"""Reading the log, and asking whether it is whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import connection

# Spelt out here too, not taken from the database's own function: who can change the rows may have changed that.
CONTENT = """convert_to(jsonb_build_array(e.id, (extract(epoch FROM e.at) * 1000000)::bigint, e.actor_id, e.actor,
    e.address, e.action, e.target_type, e.target_id, e.target, e.changes, e.request_id)::text, 'UTF8')"""
# ruff: noqa: S608  # nothing here comes from outside
VERIFY = f"""
WITH chain AS (
    SELECT l.position, l.entry_id, l.previous, l.digest, e.id,
        lag(l.position, 1, 0) OVER w AS position_before,
        lag(l.digest, 1, decode(repeat('00', 32), 'hex')) OVER w AS digest_before,
        CASE WHEN e.id IS NOT NULL THEN sha256(l.previous || {CONTENT}) END AS wanted
    FROM audit_link l LEFT JOIN audit_entry e ON e.id = l.entry_id
    WINDOW w AS (ORDER BY l.position)
)
SELECT position, 'links are missing before this one' FROM chain WHERE position <> position_before + 1
UNION ALL SELECT position, 'its entry is gone' FROM chain WHERE id IS NULL
UNION ALL SELECT position, 'it does not follow the link before it' FROM chain WHERE previous <> digest_before
UNION ALL SELECT position, 'its entry was changed' FROM chain WHERE wanted IS DISTINCT FROM digest AND id IS NOT NULL
UNION ALL SELECT NULL, 'entry ' || e.id || ' is in no link' FROM audit_entry e
    WHERE NOT EXISTS (SELECT FROM audit_link l WHERE l.entry_id = e.id)
UNION ALL SELECT NULL, 'guard ' || wanted || ' is missing or off' FROM unnest(%(triggers)s::text[]) AS wanted
    WHERE NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgname = wanted AND t.tgenabled = 'O')
ORDER BY 1 LIMIT 100
"""
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


def chain_problems() -> list[str]:
    """Return what is wrong with the chain, in words; the work grows with the log."""
    with connection.cursor() as cursor:
        cursor.execute(VERIFY, {"triggers": TRIGGERS})
        rows: list[tuple[Any, str]] = cursor.fetchall()
    return [f"link {position}: {text}" if position is not None else text for position, text in rows]


def chain_holds(head: Head) -> bool:
    """Whether a head that was read earlier is still in the chain."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT encode(digest, 'hex') FROM audit_link WHERE position = %s", [head.position])
        row = cursor.fetchone()
    return head.position == 0 or (row is not None and row[0] == head.digest)
