"""Make a database under a name that says it is not whole, and give it its own name, or take it away."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection

from ..masking import mask
from .errors import BackupError, Code
from .manifest import Database, Manifest

LIBPQ = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGPASSWORD": "password", "PGPASSFILE": "passfile"}
LONGEST_NAME_BYTES = 63


def connect(libpq: Mapping[str, str], database: str) -> Connection:
    """Open a session on the target, each statement by itself; raises DATABASE_UNREACHABLE."""
    known: dict[str, Any] = {LIBPQ[name]: value for name, value in libpq.items() if name in LIBPQ and value}
    try:
        connection: Connection = psycopg2.connect(
            **known, dbname=database, application_name="pasargad-restore", connect_timeout=10
        )
    except psycopg2.OperationalError as error:
        raise BackupError(
            Code.DATABASE_UNREACHABLE,
            f"the target does not let us in: {mask(' '.join(str(error).split()))}",
            hint="start it, and let its superuser in from here",
        ) from error
    connection.autocommit = True
    return connection


def half_name(manifest: Manifest) -> str:
    """Return the name of a set's database while it is being restored."""
    return f"restoring_{manifest.run_id.lower()}"


def refuse_target(admin: Connection, manifest: Manifest, name: str) -> None:
    """Raise TARGET_REFUSED where a database has the name, VERSION_MISMATCH where the server is older than the set."""
    if not name or len(name.encode()) > LONGEST_NAME_BYTES:
        raise BackupError(Code.TARGET_REFUSED, f"{name!r} is no name of a database", hint="name another one")
    with admin.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version_num')::int / 10000")
        (major,) = cursor.fetchone() or (0,)
        cursor.execute("SELECT FROM pg_database WHERE datname = %s", (name,))
        taken = cursor.rowcount
    if taken:
        raise BackupError(
            Code.TARGET_REFUSED,
            f"the database {name} exists, and nothing is ever restored over one",
            hint="name another database, or rename that one first",
        )
    if major < manifest.pg.version // 10000:
        raise BackupError(
            Code.VERSION_MISMATCH,
            f"set {manifest.seq} is of PostgreSQL {manifest.pg.version // 10000}, the target is {major}",
            hint="restore it into a cluster of the same version or a later one",
        )


@contextlib.contextmanager
def half_database(admin: Connection, manifest: Manifest, name: str) -> Iterator[str]:
    """Make an empty database for the body to fill, and call it `name` afterwards; where the body fails, drop it.

    The body must keep a session in it, so that nobody takes it for the leftover of a restore that died; at its end all
    sessions are closed. Raises TARGET_REFUSED while another restore of the set is at work, RESTORE_FAILED.
    """
    half = half_name(manifest)
    _create(admin, manifest, half)
    try:
        yield half
        with failing("name the database"), admin.cursor() as cursor:
            cursor.execute(f"ALTER DATABASE {_quoted(half)} RENAME TO {_quoted(name)}")
    except BaseException:
        with contextlib.suppress(psycopg2.Error), admin.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {_quoted(half)} WITH (FORCE)")
        raise


def _create(admin: Connection, manifest: Manifest, half: str) -> None:
    with failing("create the database"), admin.cursor() as cursor:
        try:
            cursor.execute(f"DROP DATABASE IF EXISTS {_quoted(half)}")
        except psycopg2.errors.ObjectInUse:
            raise BackupError(
                Code.TARGET_REFUSED,
                f"another restore of set {manifest.seq} is at work ({half})",
                hint="wait for its end; SELECT * FROM pg_stat_activity shows it",
            ) from None
        cursor.execute("SELECT FROM pg_roles WHERE rolname = %s", (manifest.db.owner,))
        owner = f" OWNER {_quoted(manifest.db.owner)}" if cursor.rowcount else ""
        cursor.execute(f"CREATE DATABASE {_quoted(half)} TEMPLATE template0{owner}{_locale(manifest.db)}")


@contextlib.contextmanager
def failing(doing: str) -> Iterator[None]:
    """Turn what the target says into RESTORE_FAILED, or TARGET_REFUSED where somebody has taken the name meanwhile."""
    try:
        yield
    except psycopg2.Error as error:
        refused = isinstance(error, psycopg2.errors.DuplicateDatabase)
        raise BackupError(
            Code.TARGET_REFUSED if refused else Code.RESTORE_FAILED,
            f"the target cannot {doing}: {mask(' '.join(str(error).split()))}",
            hint="make the locale there (locale -a; locale-gen) or free what it lacks, then restore again",
        ) from error


def _locale(database: Database) -> str:
    """Return how CREATE DATABASE is told the encoding and the locale."""
    words = f" ENCODING {_text(database.encoding)} LC_COLLATE {_text(database.collation)}"
    words += f" LC_CTYPE {_text(database.ctype or database.collation)}"
    if database.provider == "i":
        words += f" LOCALE_PROVIDER icu ICU_LOCALE {_text(database.locale)}"
    elif database.provider == "b":
        words += f" LOCALE_PROVIDER builtin BUILTIN_LOCALE {_text(database.locale)}"
    else:
        words += " LOCALE_PROVIDER libc"
    return words


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
