"""Tests of the shop: `python3 -m tests.services run -- pytest app` gives them PostgreSQL and Redis."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import django
import pytest

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.test")
sys.path.insert(0, str(Path(__file__).parent))
django.setup()

from testing.fixtures import carrier, outside, running  # noqa: E402, F401


@pytest.fixture(autouse=True)
def _fresh_caches() -> Iterator[None]:
    """Start every test with empty caches; the servers are the tests' own."""
    from django.core.cache import caches

    from pasargad import memory
    from pasargad.flags import store as flags_store

    for alias in ("default", "sessions", "limits"):
        caches[alias].clear()
    # What is read once a second belongs to the test before.
    memory.RECENT_SECONDS = float("-inf")
    # No flag is switched: nothing that counts queries counts the one that would find that out.
    flags_store.keep({})
    # On a busy machine a test takes longer than the minute for which rules are believed.
    flags_store.RULES_SECONDS = 3600
    yield


@pytest.fixture(autouse=True)
def _media(tmp_path: Path, settings: object) -> None:
    settings.MEDIA_ROOT = str(tmp_path / "media")  # type: ignore[attr-defined]


@pytest.fixture
def persian_shop() -> Iterator[None]:
    """Let the shop's own language be Persian; what was worked out of addresses is forgotten before and after."""
    from django.test import override_settings
    from django.urls import clear_url_caches

    with override_settings(LANGUAGE_CODE="fa"):
        clear_url_caches()
        yield
    clear_url_caches()


@pytest.fixture(autouse=True, scope="session")
def _flush_past_guards() -> Iterator[None]:
    """Let tests that commit empty their database: the audit log refuses TRUNCATE, so its triggers rest meanwhile."""
    from django.db.backends.postgresql.operations import DatabaseOperations

    flush = DatabaseOperations.execute_sql_flush

    def resting(self: DatabaseOperations, sql_list: list[str]) -> None:
        flush(self, ["SET LOCAL session_replication_role = replica", *sql_list] if sql_list else sql_list)

    DatabaseOperations.execute_sql_flush = resting  # type: ignore[method-assign]
    yield
    DatabaseOperations.execute_sql_flush = flush  # type: ignore[method-assign]
