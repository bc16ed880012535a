"""A database with the roles and privileges of a real host: made by the role `postgres`'s own SQL, migrated as there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from django.db import connection
from jinja2 import Environment, StrictUndefined

ROOT = Path(__file__).resolve().parents[2]
# ruff: noqa: S701  # SQL, not HTML
OWNER, MIGRATOR, APP = "pasargad_owner", "pasargad_migrator", "pasargad_app"


@dataclass(frozen=True)
class Roles:
    """Connections to it as one of its roles."""

    name: str

    @contextmanager
    def connect(self, user: str = APP) -> Iterator[psycopg2.extensions.connection]:
        server = connection.settings_dict
        found = psycopg2.connect(host=server["HOST"], port=server["PORT"], dbname=self.name, user=user)
        try:
            yield found
        finally:
            found.close()


@contextmanager
def database_of_a_host(name: str = "as_on_a_host") -> Iterator[Roles]:
    """Make and migrate such a database, and drop it afterwards: about half a minute."""
    server = connection.settings_dict
    psql = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-v", "dry=0", "-h", server["HOST"], "-p", str(server["PORT"])]
    psql += ["-U", server["USER"], "-d", "postgres"]
    _run([*psql, "-f", "-"], _sql(name))
    try:
        environment = {**os.environ, "DB_NAME": name, "DB_USER": MIGRATOR, "PYTHONPATH": str(ROOT / "app")}
        environment["DJANGO_SETTINGS_MODULE"] = "config.settings.test"
        _run([sys.executable, str(ROOT / "app/manage.py"), "migrate", "--no-input", "-v0"], "", environment)
        yield Roles(name)
    finally:
        _run([*psql, "-c", f"DROP DATABASE {name} WITH (FORCE)"], "")


def _sql(name: str) -> str:
    environment = Environment(undefined=StrictUndefined)
    environment.filters["scram_verifier"] = lambda password, *rest: password
    text = (ROOT / "roles/postgres/templates/database.sql.j2").read_text(encoding="utf-8")
    return environment.from_string(text).render(
        ansible_managed="a test", postgres_owner_role=OWNER, postgres_migrator_role=MIGRATOR, postgres_app_role=APP,
        postgres_backup_role="pasargad_backup", postgres_db_name=name, postgres_migrator_password=name,
        postgres_app_password=name, pasargad_domain="",
        postgres_migrator_lock_timeout="100ms", postgres_app_statement_timeout="15s",
        postgres_app_idle_in_transaction_timeout="60s", postgres_extensions=["pg_trgm", "unaccent"],
    )  # fmt: skip


def _run(command: list[str], stdin: str, environment: dict[str, str] | None = None) -> None:
    ran = subprocess.run(
        command, input=stdin, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    if ran.returncode != 0:
        raise RuntimeError(f"{command[0]}: {ran.stderr[-3000:]}")
