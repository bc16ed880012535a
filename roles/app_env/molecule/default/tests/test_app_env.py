"""systemd gives the shop exactly the settings that the inventory holds, and nobody else can read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from testinfra.host import Host

DIRECTORY = "/etc/pasargad/env"
NASTY = yaml.safe_load((Path(__file__).parents[1] / "vars/nasty.yml").read_text(encoding="utf-8"))
PRINT_ENVIRONMENT = "import json, os; print(json.dumps(dict(os.environ)))"


def seen_by_a_service(host: Host, *files: str) -> dict[str, str]:
    """Return the environment of a transient service that reads these files."""
    properties = " ".join(f"-p EnvironmentFile={file}" for file in files)
    shown = host.check_output(
        f"systemd-run --quiet --wait --pipe {properties} /usr/bin/python3 -c '{PRINT_ENVIRONMENT}'"
    )
    return json.loads(shown)


@pytest.fixture
def service(host: Host) -> dict[str, str]:
    return seen_by_a_service(host, f"{DIRECTORY}/current")


def test_a_service_sees_every_value_to_the_letter(service: dict[str, str]) -> None:
    wanted = {variable.removeprefix("app_env_").upper(): value for variable, value in NASTY.items()}
    assert {name: service.get(name) for name in wanted} == wanted


def test_a_service_sees_every_setting_and_nothing_else_of_ours(host: Host, service: dict[str, str]) -> None:
    lines = host.file(f"{DIRECTORY}/current").content_string.split("\n")
    names = {line.split("=")[0] for line in lines if line and not line.startswith("#")}
    assert len(names) > 100
    assert names <= set(service)


def test_migrations_see_their_own_login_instead(host: Host, service: dict[str, str]) -> None:
    migrations = seen_by_a_service(host, f"{DIRECTORY}/current", f"{DIRECTORY}/migrator.env")
    differing: dict[str, Any] = {name: value for name, value in migrations.items() if service.get(name) != value}
    differing.pop("INVOCATION_ID", None)
    assert set(differing) >= {"DB_HOST", "DB_PORT", "DB_USER", "DB_PASSWORD"}
    assert {name for name in differing if name.startswith(("DB_", "SECRET"))} <= {
        "DB_HOST",
        "DB_PORT",
        "DB_USER",
        "DB_PASSWORD",
    }
    assert (differing["DB_HOST"], differing["DB_USER"]) == ("/run/postgresql", "pasargad_migrator")


def test_the_digest_names_the_file(host: Host) -> None:
    digest = host.file("/root/app_env_digest").content_string.strip()
    assert host.file(f"{DIRECTORY}/current").linked_to == f"{DIRECTORY}/{digest}.env"
    assert host.check_output(f"sha256sum {DIRECTORY}/{digest}.env").startswith(digest)


def test_only_root_reads_the_settings(host: Host) -> None:
    assert host.file(DIRECTORY).mode == 0o700
    assert {host.file(f"{DIRECTORY}/{name}").mode for name in host.file(DIRECTORY).listdir() if name != "current"} == {
        0o600
    }
    assert host.run(f"runuser -u nobody -- cat {DIRECTORY}/current").rc != 0
