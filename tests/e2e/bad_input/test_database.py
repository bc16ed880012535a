"""A database that refuses: stopped, with another password, without connections left."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.bad_input.refusal import changed_copy, good_change, only_message, serving, unharmed
from tests.shop import Shop
from tests.web import Web

pytestmark = [pytest.mark.lab, pytest.mark.slow]
RECOVERY_SECONDS = 60.0


def sql(shop: Shop, statement: str) -> str:
    quoted = statement.replace("'", "'\\''")
    command = f"cd / && runuser -u postgres -- psql -XAtq -v ON_ERROR_STOP=1 -d pasargad -c '{quoted}'"
    return shop.on("store1", command).require().output.strip()


@pytest.fixture(scope="module")
def newer(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A good release that is not deployed yet: whatever refuses it is the database."""
    return changed_copy(shop, tmp_path_factory.mktemp("database"), good_change())


def end_connections(shop: Shop) -> None:
    """Let PgBouncer connect anew: what it holds open has been let in already."""
    sql(shop, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'pasargad_app'")


def recovered(shop: Shop) -> None:
    """Wait until the shop has noticed that its database answers again: PgBouncer tries every 15 seconds."""
    deadline = time.monotonic() + RECOVERY_SECONDS
    status: Any = shop.status()
    while not status["slots"][status["active"]]["ready"]:
        assert time.monotonic() < deadline, status
        time.sleep(1)
        status = shop.status()


@contextmanager
def altered(shop: Shop, change: str, back: str) -> Iterator[None]:
    """Change what the database lets the shop's role do, and take it back."""
    sql(shop, f"ALTER ROLE pasargad_app {change}")
    end_connections(shop)
    try:
        yield
    finally:
        sql(shop, f"ALTER ROLE pasargad_app {back}")
        recovered(shop)


def test_a_stopped_database(shop: Shop, web: Web, newer: Shop, release: str) -> None:
    shop.on("store1", "systemctl stop postgresql").require()
    try:
        refused = newer.deploy()
    finally:
        shop.on("store1", "systemctl start postgresql").require()
        recovered(shop)
    only_message(refused, "is the database up? systemctl status postgresql pgbouncer", "pasargad_db_address")
    unharmed(shop, web, release)


def test_another_password(shop: Shop, web: Web, newer: Shop, release: str) -> None:
    kept = sql(shop, "SELECT rolpassword FROM pg_authid WHERE rolname = 'pasargad_app'")
    with altered(shop, "PASSWORD 'another-one'", f"PASSWORD '{kept}'"):
        refused = newer.deploy()
    only_message(refused, "password authentication failed", "deploy.yml -e pasargad_converge=full")
    unharmed(shop, web, release)


def test_no_connection_left(shop: Shop, web: Web, newer: Shop, release: str) -> None:
    with altered(shop, "CONNECTION LIMIT 0", "CONNECTION LIMIT -1"):
        refused = newer.deploy()
    only_message(refused, "too many connections", "postgres_max_connections")
    unharmed(shop, web, release)


def test_the_next_deploy_succeeds(shop: Shop, web: Web, newer: Shop, release: str) -> None:
    newer.deploy().require()
    assert serving(shop) != release
    unharmed(shop, web, serving(shop))
