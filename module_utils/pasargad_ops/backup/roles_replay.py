"""Make the roles of a set in another cluster: what pg_dumpall wrote, statement by statement, and nothing existing."""

from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg2
from psycopg2.extensions import connection as Connection

from ..masking import mask
from .errors import BackupError, Code

# What is quoted, a comment to the end of its line, a line for psql alone, the end of a statement, or anything else.
TOKEN = re.compile(r"\"(?:[^\"]|\"\")*\"|'(?:[^']|'')*'|--[^\n]*|^\\[^\n]*|;|.", re.DOTALL | re.MULTILINE)
NAME = r'"((?:[^"]|"")*)"'
OF_ROLE = re.compile(rf"(?:CREATE|ALTER) ROLE {NAME}|COMMENT ON ROLE {NAME}|SECURITY LABEL .*? ON ROLE {NAME}")
MEMBERSHIP = re.compile(rf"GRANT {NAME} TO {NAME}")
# The grantor may be a superuser that only the old cluster has.
GRANTOR = re.compile(rf" GRANTED BY {NAME}$")
# Tablespaces are directories of the old host.
OF_TABLESPACE = re.compile(
    rf"(?:CREATE|ALTER) TABLESPACE |(?:COMMENT|SECURITY LABEL .*?|GRANT .*?|REVOKE .*?) ON TABLESPACE {NAME}"
)


def statements(script: str) -> Iterator[str]:
    """Yield the statements of a script by pg_dumpall, without comments and psql's own commands."""
    found: list[str] = []
    for word in TOKEN.findall(script):
        if word == ";":
            yield "".join(found).strip()
            found.clear()
        elif not word.startswith("--") and not (len(word) > 1 and word.startswith("\\")):
            found.append(word)


def wanted(script: str, existing: frozenset[str]) -> Iterator[str]:
    """Yield what makes the roles that do not exist yet, and their memberships; those that exist stay as they are."""
    for statement in statements(script):
        member = MEMBERSHIP.match(statement)
        about = OF_ROLE.match(statement)
        role = member[2] if member else next((name for name in about.groups() if name), "") if about else ""
        if role.replace('""', '"') in existing or OF_TABLESPACE.match(statement):
            continue
        yield GRANTOR.sub("", statement) if member else statement


def replay_roles(connection: Connection, script: str) -> int:
    """Make the roles of a script that are not there yet, all or none; returns how many. Raises RESTORE_FAILED.

    The session lets each request be its own transaction.
    """
    chosen: list[str] = []
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT rolname FROM pg_roles")
            existing = frozenset(name for (name,) in cursor.fetchall())
            chosen += wanted(script, existing)
            if chosen:
                # Sent as one, so that they are one transaction.
                cursor.execute("; ".join(chosen))
    except psycopg2.Error as error:
        raise BackupError(
            Code.RESTORE_FAILED,
            f"the roles of the set cannot be made: {mask(' '.join(str(error).split()))}",
            hint="make that role by hand, or take a cluster whose version is not older than the set's",
        ) from error
    return sum(statement.startswith("CREATE ROLE ") for statement in chosen)
