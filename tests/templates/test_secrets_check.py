"""A password that the serving release would not survive is refused before anything is changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.environments import Environments, said


@pytest.fixture
def where(filled: Environments, tmp_path: Path) -> list[str]:
    """The arguments that name a host which serves with an older database password."""
    (tmp_path / "state.json").write_text(json.dumps({"active": "blue"}))
    cache = filled.secrets("staging")["vault_pasargad_redis_cache_password"]
    lines = ['DB_PASSWORD="older"', f'REDIS_CACHE_URL="unix://cache:{cache}@/run/redis/redis.sock?db=0"']
    (tmp_path / "slot-blue.env").write_text("\n".join(lines) + "\n")
    return ["-e", f"secrets_check_state_file={tmp_path}/state.json", "-e", f"secrets_check_env_dir={tmp_path}"]


def test_a_changed_password_is_refused_by_name_and_never_shown(filled: Environments, where: list[str]) -> None:
    ran = filled.play("staging", "secrets_check", *where, "-vvv")
    assert ran.returncode != 0
    assert "The passwords of DB_PASSWORD are not those" in said(ran)
    assert "-e pasargad_rotate=true" in said(ran)
    assert [secret for secret in filled.secrets("staging").values() if secret and secret in said(ran)] == []


def test_it_is_done_when_asked_for(filled: Environments, where: list[str]) -> None:
    ran = filled.play("staging", "secrets_check", *where, "-e", "pasargad_rotate=true")
    assert ran.returncode == 0, said(ran)
