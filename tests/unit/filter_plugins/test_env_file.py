"""Quoting for systemd's EnvironmentFile and the shell; the role's scenario proves the same through real systemd."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from filter_plugins.env_file import env_advice, env_quote, env_strangers, env_text

NASTY_FILE = Path(__file__).resolve().parents[3] / "roles/app_env/molecule/default/vars/nasty.yml"
NASTY = {name.removeprefix("app_env_").upper(): value for name, value in yaml.safe_load(NASTY_FILE.read_text()).items()}


def test_a_shell_reads_back_exactly_what_was_quoted(tmp_path: Path) -> None:
    file = tmp_path / "nasty.env"
    file.write_text("".join(f"{name}={env_quote(value)}\n" for name, value in NASTY.items()), encoding="utf-8")
    command = ["/bin/sh", "-c", 'set -a; . "$1"; env -0', "sh", str(file)]
    ran = subprocess.run(command, env={}, capture_output=True, check=True)
    read = dict(entry.split("=", 1) for entry in ran.stdout.decode().split("\0") if entry)
    assert {name: read.get(name) for name in NASTY} == NASTY


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (False, "false"), (0, "0"), (0.5, "0.5"), ("", ""), ([], ""), (["a", 1, True], "a,1,true")],
)
def test_values_become_the_words_that_the_loader_reads(value: Any, text: str) -> None:
    assert env_text(value) == text


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("two\nlines", "line break"),
        ("carriage\rreturn", "line break"),
        ("nul\0", "control character"),
        ("bell\a", "control character"),
        ("\ud800", "Unicode"),
        (["a,b"], "comma"),
        (["a\nb"], "line break"),
        (None, "NoneType"),
        ({"a": 1}, "dict"),
    ],
)
def test_what_no_line_can_hold_is_refused_by_name_without_the_value(value: Any, reason: str) -> None:
    with pytest.raises(AnsibleFilterError) as refused:
        env_quote(value, "app_env_thing")
    assert "app_env_thing" in str(refused.value)
    assert reason in str(refused.value)
    assert "two" not in str(refused.value)


def test_advice_names_the_variable_and_the_vault_entry_behind_it() -> None:
    defaults = {"app_env_key": "{{ pasargad_key }}", "app_env_url": "{{ pasargad_scheme }}://{{ pasargad_host }}"}
    advice = env_advice({"URL": "is bad", "KEY": "is short", "PLAIN": "is odd"}, defaults, ["pasargad_key"])
    assert [one["text"] for one in advice] == [
        "app_env_key (by default from vault_pasargad_key in vault.yml) is short",
        "app_env_plain is odd",
        "app_env_url (by default from pasargad_scheme, pasargad_host) is bad",
    ]


def test_strangers_are_told_what_they_resemble() -> None:
    assert env_strangers(["app_env_log_levle", "app_env_log_level", "app_env_zzz"], ["app_env_log_level"]) == [
        "app_env_log_levle is not a setting; did you mean app_env_log_level?",
        "app_env_zzz is not a setting",
    ]
