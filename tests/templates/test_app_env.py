"""roles/app_env renders every setting for the example inventories, and refuses bad ones before it writes."""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tests.environments import ROOT, Environments, said

NAMES = re.findall(r"(?m)^([A-Z][A-Z0-9_]*)=", (ROOT / "templates/env/production.env.j2").read_text())


def render(environments: Environments, name: str, target: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Run the role, with a directory of its own for each host."""
    directory = f"app_env_directory={target}/{{{{ inventory_hostname }}}}"
    return environments.play(name, "app_env", "-e", directory, *more, hosts="store_web")


def read(path: Path) -> dict[str, str]:
    """Read an environment file as a shell does."""
    command = ["/bin/sh", "-c", 'set -a; . "$1"; env -0', "sh", str(path)]
    ran = subprocess.run(command, env={}, capture_output=True, check=True)
    pairs = (entry.split("=", 1) for entry in ran.stdout.decode().split("\0") if entry)
    return {name: value for name, value in pairs if name not in {"PWD", "_", "SHLVL", "OLDPWD"}}


@pytest.fixture(scope="module")
def staging(filled: Environments, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("staging")
    ran = render(filled, "staging", target, "-vvv", "--diff")
    assert ran.returncode == 0, said(ran)
    (target / "output").write_text(said(ran))
    return target


@pytest.fixture(scope="module")
def production(filled: Environments, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("production")
    ran = render(filled, "production", target)
    assert ran.returncode == 0, said(ran)
    return target


def test_every_setting_resolves_for_one_host_holding_everything(filled: Environments, staging: Path) -> None:
    settings, secrets = read(staging / "staging1/current"), filled.secrets("staging")
    assert set(settings) == set(NAMES)
    assert settings["DB_HOST"] == "/run/pgbouncer"
    cache = secrets["vault_pasargad_redis_cache_password"]
    assert settings["REDIS_CACHE_URL"] == f"unix://cache:{cache}@/run/redis/redis.sock?db=0"
    assert settings["ALLOWED_HOSTS"] == "staging.shop.example.com"
    assert settings["STRIPE_LIVE_MODE"] == "false"
    assert settings["DB_PASSWORD"] == secrets["vault_pasargad_db_app_password"]
    migrator = read(staging / "staging1/migrator.env")
    assert migrator == {
        "DB_HOST": "/run/postgresql",
        "DB_PORT": "5432",
        "DB_USER": "pasargad_migrator",
        "DB_PASSWORD": secrets["vault_pasargad_db_migrator_password"],
    }


def test_every_setting_resolves_for_several_hosts_alike(filled: Environments, production: Path) -> None:
    settings, secrets = read(production / "web1/current"), filled.secrets("production")
    assert set(settings) == set(NAMES)
    limits = secrets["vault_pasargad_redis_limits_password"]
    assert settings["REDIS_LIMITS_URL"] == f"redis://limits:{limits}@192.0.2.31:6379/2"
    assert settings["ALLOWED_HOSTS"] == "shop.example.com,www.shop.example.com"
    assert settings["CSRF_TRUSTED_ORIGINS"] == "https://shop.example.com,https://www.shop.example.com"
    assert settings["STRIPE_LIVE_MODE"] == "true"
    assert read(production / "web1/migrator.env")["DB_HOST"] == "192.0.2.31"
    assert (production / "web1/current").readlink() == (production / "web2/current").readlink()


def test_the_production_settings_of_the_shop_load_from_the_rendered_file(production: Path) -> None:
    code = "import config.settings.production as s; print(s.SITE_URL, s.DATABASES['default']['PORT'], s.DEBUG)"
    python = ROOT / ".venv/bin/python"
    environment = read(production / "web1/current")
    command = [str(python), "-B", "-c", code]
    ran = subprocess.run(command, cwd=ROOT / "app", env=environment, capture_output=True, text=True, check=False)
    assert ran.stdout == "https://shop.example.com 6432 False\n", ran.stderr


def test_files_are_for_root_alone_and_named_after_their_digest(staging: Path) -> None:
    directory = staging / "staging1"
    link = directory / "current"
    kept = directory / link.readlink()
    digest = subprocess.run(["sha256sum", kept], capture_output=True, text=True, check=True).stdout[:12]
    assert kept.name == f"{digest}.env"
    assert {path.name: stat.S_IMODE(path.lstat().st_mode) for path in directory.iterdir() if not path.is_symlink()} == {
        kept.name: 0o600,
        "migrator.env": 0o600,
    }
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_no_secret_is_shown_by_a_verbose_run_with_its_diff(filled: Environments, staging: Path) -> None:
    output = (staging / "output").read_text()
    assert "+SECRET_KEY=********" in output
    assert "+LOG_LEVEL=INFO" in output
    secrets = {name: value for name, value in filled.secrets("staging").items() if value}
    assert [name for name, value in secrets.items() if value in output] == []


def test_a_second_run_changes_nothing_and_a_changed_setting_keeps_the_old_file(
    filled: Environments, staging: Path, tmp_path: Path
) -> None:
    shutil.copytree(staging, tmp_path / "copy", symlinks=True)
    directory = tmp_path / "copy/staging1"
    assert "changed=0" in render(filled, "staging", tmp_path / "copy").stdout
    old = directory / (directory / "current").readlink()
    before = old.read_bytes()
    change = ["-e", "app_env_log_level=DEBUG", "-e", "app_env_metrics_token=another-token-of-twenty-characters"]
    predicted = render(filled, "staging", tmp_path / "copy", "--check", "--diff", *change)
    assert "changed=1" in predicted.stdout
    assert "+LOG_LEVEL=DEBUG" in predicted.stdout
    assert "+METRICS_TOKEN=******** (new)" in predicted.stdout
    assert directory / (directory / "current").readlink() == old
    assert len(list(directory.glob("*.env"))) == 2
    real = render(filled, "staging", tmp_path / "copy", "--diff", *change)
    diffs = [re.search(r"(?s)--- before.*?\n\n", ran.stdout) for ran in (predicted, real)]
    assert diffs[0] and diffs[1] and diffs[0][0] == diffs[1][0]
    assert directory / (directory / "current").readlink() != old
    assert old.read_bytes() == before


def test_all_bad_settings_are_named_at_once_with_the_place_to_mend_them(filled: Environments, tmp_path: Path) -> None:
    bad = {
        "app_env_db_port": "70000",
        "app_env_site_url": "shop.example.com",
        "app_env_rate_limit_login": "often",
        "app_env_secret_key": "short",
        "app_env_order_number_prefix": "two\nlines",
    }
    given = tmp_path / "bad.yml"
    given.write_text("".join(f"{name}: {value!r}\n".replace("'", '"') for name, value in bad.items()))
    ran = render(filled, "staging", tmp_path, "-e", f"@{given}")
    assert ran.returncode != 0
    assert "The shop refuses 5 of its settings" in said(ran)
    assert [name for name in bad if f"  {name} " not in said(ran)] == []
    assert "app_env_order_number_prefix has a line break inside" in said(ran)
    assert "app_env_secret_key (by default from vault_pasargad_secret_key in vault.yml) must have at least" in said(ran)
    assert "inventories/staging/group_vars/store/main.yml" in said(ran)
    assert not (tmp_path / "staging1").exists()


def test_test_keys_are_refused_where_real_money_moves(environments: Environments, tmp_path: Path) -> None:
    environments.complete("production", "test")
    ran = render(environments, "production", tmp_path / "x")
    assert ran.returncode != 0
    assert "vault_pasargad_stripe_secret_key in vault.yml) is not a live key" in said(ran)


def test_a_setting_that_nothing_reads_is_refused_with_its_likeness(filled: Environments, tmp_path: Path) -> None:
    ran = render(filled, "staging", tmp_path, "-e", "app_env_log_levle=DEBUG")
    assert ran.returncode != 0
    assert "app_env_log_levle is not a setting; did you mean app_env_log_level?" in said(ran)


def test_a_value_of_the_wrong_type_is_refused_by_its_name(filled: Environments, tmp_path: Path) -> None:
    ran = render(filled, "staging", tmp_path, "-e", "app_env_gunicorn_threads=many", "-e", "app_env_log_format=xml")
    assert ran.returncode != 0
    assert "app_env_gunicorn_threads" in said(ran)
    assert "app_env_log_format must be one of: json, text" in said(ran)


def test_a_load_balancer_does_not_belong_into_the_number_of_proxies(filled: Environments, tmp_path: Path) -> None:
    ran = render(filled, "staging", tmp_path / "env", "-e", "app_env_trusted_proxy_count=2")
    assert ran.returncode != 0
    assert "app_env_trusted_proxy_count is 2 and must stay 1" in said(ran)
    assert "web_proxy_trusted_proxies" in said(ran)
    assert not (tmp_path / "env").exists()
