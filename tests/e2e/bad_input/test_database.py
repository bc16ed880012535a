"""A database that refuses: stopped, with another password, without connections left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.bad_input.refusal import changed_copy, good_change, only_message, serving, unharmed
from tests.shop import Shop
from tests.web import Web

pytestmark = [pytest.mark.lab, pytest.mark.slow]


def sql(shop: Shop, statement: str) -> str:
    quoted = statement.replace("'", "'\\''")
    command = f"cd / && runuser -u postgres -- psql -XAtq -v ON_ERROR_STOP=1 -d pasargad -c '{quoted}'"
    return shop.on("store1", command).require().output.strip()


@pytest.fixture(scope="module")
def newer(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A good release that is not deployed yet: whatever refuses it is the database."""
    return changed_copy(shop, tmp_path_factory.mktemp("database"), good_change())


@contextmanager
def another_password(shop: Shop, role: str) -> Iterator[None]:
    """Let the server know another password than the vault for one role."""
    kept = sql(shop, f"SELECT rolpassword FROM pg_authid WHERE rolname = '{role}'")
    sql(shop, f"ALTER ROLE {role} PASSWORD 'another-one'")
    try:
        yield
    finally:
        sql(shop, f"ALTER ROLE {role} PASSWORD '{kept}'")


def test_a_stopped_database(shop: Shop, web: Web, newer: Shop, release: str) -> None:
    shop.on("store1", "systemctl stop postgresql").require()
    try:
        refused = newer.deploy()
    finally:
        shop.on("store1", "systemctl start postgresql").require()
    only_message(refused, "is the database up? systemctl status postgresql pgbouncer", "pasargad_db_address")
    unharmed(shop, web, release)


def test_another_password_of_the_migrator(shop: Shop, web: Web, newer: Shop, release: str) -> None:
    with another_password(shop, "pasargad_migrator"):
        refused = newer.deploy()
    only_message(refused, "password authentication failed", "deploy.yml -e pasargad_converge=full")
    unharmed(shop, web, release)


def test_no_connection_left(shop: Shop, web: Web, newer: Shop, release: str) -> None:
    sql(shop, "ALTER ROLE pasargad_migrator CONNECTION LIMIT 0")
    try:
        refused = newer.deploy()
    finally:
        sql(shop, "ALTER ROLE pasargad_migrator CONNECTION LIMIT -1")
    only_message(refused, "too many connections", "postgres_max_connections")
    unharmed(shop, web, release)


def test_the_next_deploy_succeeds(shop: Shop, web: Web, newer: Shop, release: str) -> None:
    newer.deploy().require()
    assert serving(shop) != release
    unharmed(shop, web, serving(shop))
