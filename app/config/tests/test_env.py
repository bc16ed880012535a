"""The environment reader: every problem at once, and production without any default."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from config.env import Env, EnvironmentInvalid
from config.groups import read_server, read_stripe
from config.settings.workbench import WORKBENCH

APP = Path(__file__).resolve().parents[2]
PRODUCTION = {
    **WORKBENCH,
    "DJANGO_SETTINGS_MODULE": "config.settings.production",
    "SECRET_KEY": "8Qk2vX0pLr5tYw9zAa3bCc7dEe1fGg4hHi6jJk8lMm0nNo2pPq5rRs",
    "SITE_URL": "https://shop.example",
    "CSRF_TRUSTED_ORIGINS": "https://shop.example",
    "ALLOWED_HOSTS": "shop.example",
    "SECURE_SSL_REDIRECT": "true",
    "SECURE_HSTS_SECONDS": "31536000",
    "COOKIES_SECURE": "true",
    "LOG_FORMAT": "json",
}


def python(*arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=APP, env={"PATH": os.environ["PATH"], **env}, capture_output=True, text=True
    )


def test_all_problems_are_reported_together():
    env = Env(
        {"COUNT": "many", "FLAG": "perhaps", "LEVEL": "LOUD", "LINK": "shop.example", "TIMES": "often", "FEW": "9"}
    )
    env.integer("COUNT", "how many")
    env.boolean("FLAG", "yes or no")
    env.text("LEVEL", "how loud", choices=["INFO", "ERROR"])
    env.url("LINK", "where", schemes=["https"])
    env.rate("TIMES", "how often")
    env.integer("FEW", "few", minimum=1, maximum=3)
    env.text("NAME", "who")
    with pytest.raises(EnvironmentInvalid) as refused:
        env.require_valid()
    assert set(refused.value.problems) == {"COUNT", "FLAG", "LEVEL", "LINK", "TIMES", "FEW", "NAME"}
    for name in refused.value.problems:
        assert f"  {name}: " in str(refused.value)


def test_a_value_may_come_from_a_file(tmp_path):
    (tmp_path / "secret").write_text("from-a-file\n")
    env = Env({"SECRET_FILE": str(tmp_path / "secret")})
    assert env.text("SECRET", "a secret", secret=True) == "from-a-file"
    env.require_valid()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"SECRET_FILE": "/nowhere/at/all"}, "cannot be read from /nowhere/at/all"),
        ({"SECRET_FILE": "/nowhere", "SECRET": "x"}, "given twice"),
        ({"SECRET": ""}, "is empty"),
        ({}, "is missing"),
    ],
)
def test_what_is_wrong_with_a_value_is_said(source, said):
    env = Env(source)
    env.text("SECRET", "a secret")
    assert said in env.problems["SECRET"]


def test_no_message_shows_a_secret():
    env = Env({**WORKBENCH, "STRIPE_SECRET_KEY": "planted-secret", "STRIPE_WEBHOOK_SECRET": "planted-too"})
    read_stripe(env)
    env.url("REDIS_CACHE_URL", "cache", schemes=["redis"], secret=True)
    with pytest.raises(EnvironmentInvalid) as refused:
        env.require_valid()
    assert {"STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET"} <= set(refused.value.problems)
    assert "planted" not in str(refused.value)


def test_test_keys_are_refused_in_live_mode():
    env = Env({**WORKBENCH, "STRIPE_LIVE_MODE": "true"})
    read_stripe(env)
    assert set(env.problems) == {"STRIPE_SECRET_KEY", "STRIPE_PUBLISHABLE_KEY"}


def test_production_names_every_missing_setting_at_once():
    listed = json.loads(python("-m", "config.env", env={}).stdout)
    required = {row["name"] for row in listed if row["required"]}
    failed = python("-c", "import config.settings.production", env={})
    assert failed.returncode != 0 and len(required) > 100
    assert [name for name in required if f"  {name}: is missing" not in failed.stderr] == []


def test_the_list_is_the_same_whatever_the_environment_holds():
    empty = python("-m", "config.env", env={})
    full = python("-m", "config.env", env=PRODUCTION)
    assert empty.returncode == full.returncode == 0 and empty.stdout == full.stdout


def test_the_workbench_has_a_value_for_exactly_these_names():
    listed = json.loads(python("-m", "config.env", env={}).stdout)
    assert {row["name"] for row in listed if row["provided_by"] == "file"} == set(WORKBENCH)


def test_production_passes_the_deployment_check():
    checked = python("manage.py", "check", "--deploy", "--fail-level", "WARNING", env=PRODUCTION)
    assert checked.returncode == 0, checked.stderr


def test_the_deployment_check_can_fail():
    checked = python("manage.py", "check", "--deploy", "--fail-level", "WARNING",
                     env={**PRODUCTION, "COOKIES_SECURE": "false"})  # fmt: skip
    assert checked.returncode != 0 and "security.W012" in checked.stderr


@pytest.mark.parametrize(("allowed", "starts"), [({}, False), ({"PASARGAD_FAULTS_ALLOWED": "yes"}, True)])
def test_production_refuses_to_end_itself_at_a_planned_point(allowed, starts):
    fault = {"PASARGAD_FAULT": "payments.settle.done"}
    started = python("-c", "import config.settings.production", env={**PRODUCTION, **fault, **allowed})
    assert (started.returncode == 0) is starts
    assert starts or "PASARGAD_FAULT: would end" in started.stderr


def test_every_value_that_is_read_is_used():
    """A field of a settings group that no code reads would be a setting without an effect."""
    import dataclasses

    from config import groups

    code = "\n".join(
        path.read_text() for path in APP.rglob("*") if path.suffix in (".py", ".html", ".txt")
        and "tests" not in path.parts and path.name != "groups.py"
    )  # fmt: skip
    unread = [
        f"{group.__name__}.{field.name}"
        for group in vars(groups).values()
        if isinstance(group, type) and dataclasses.is_dataclass(group)
        for field in dataclasses.fields(group)
        if f".{field.name}" not in code and f'"{field.name}"' not in code
    ]
    assert unread == []


def test_the_application_server_reads_its_settings(monkeypatch):
    for name, value in WORKBENCH.items():
        monkeypatch.setenv(name, value)
    import runpy

    found = runpy.run_path(str(APP / "config" / "gunicorn.py"))
    server = read_server(Env(WORKBENCH))
    assert (found["workers"], found["threads"], found["worker_class"]) == (server.workers, server.threads, "gthread")
    assert found["umask"] == 0o007
