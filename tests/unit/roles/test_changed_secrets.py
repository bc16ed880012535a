"""A password is compared with that of the slot that serves, and only its name is told."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[3] / "roles/secrets_check/files/changed_secrets.py"
DATABASE, CACHE = 'da"ta\\base', "ca:ch/e"


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A host whose green slot serves."""
    (tmp_path / "state.json").write_text(json.dumps({"active": "green"}))
    escaped = DATABASE.replace("\\", "\\\\").replace('"', '\\"')
    lines = [f'DB_PASSWORD="{escaped}"', 'REDIS_CACHE_URL="unix://cache:ca%3Ach%2Fe@/run/redis/redis.sock?db=0"']
    (tmp_path / "slot-green.env").write_text("\n".join(lines) + "\n")
    (tmp_path / "slot-blue.env").write_text('DB_PASSWORD="older"\n')
    return tmp_path


def named(host: Path, **passwords: str) -> list[str]:
    wanted = {name: hashlib.sha256(value.encode()).hexdigest() for name, value in passwords.items()}
    ran = subprocess.run(
        [sys.executable, str(TOOL), str(host / "state.json"), str(host)],
        input=json.dumps(wanted), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return ran.stdout.split()


def test_what_the_serving_slot_knows_is_not_named(host: Path) -> None:
    assert named(host, DB_PASSWORD=DATABASE, REDIS_CACHE_URL=CACHE) == []


def test_a_changed_password_is_named_by_its_setting(host: Path) -> None:
    assert named(host, DB_PASSWORD="new", REDIS_CACHE_URL=CACHE) == ["DB_PASSWORD"]
    assert named(host, DB_PASSWORD=DATABASE, REDIS_CACHE_URL="new") == ["REDIS_CACHE_URL"]


def test_a_host_that_serves_nothing_has_nothing_to_lose(host: Path) -> None:
    (host / "state.json").write_text(json.dumps({"active": None}))
    assert named(host, DB_PASSWORD="new") == []
    (host / "state.json").unlink()
    assert named(host, DB_PASSWORD="new") == []
