"""Bad settings are refused before anything is touched, with the place that is wrong and where to mend it."""

from __future__ import annotations

import copy
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pasargad_ops.backup.config import CONVERGE, MEND, BackupConfig
from pasargad_ops.backup.errors import BackupError, Code
from tests.unit.backup.frame import settings

REMOVED = object()


def changed(values: dict[str, Any], place: str, value: Any) -> dict[str, Any]:
    """Return the settings with one of them replaced or removed; `place` has a dot where it is nested."""
    values = copy.deepcopy(values)
    *groups, name = place.split(".")
    inner = values
    for group in groups:
        inner = inner.setdefault(group, {})
    inner[name] = value
    if value is REMOVED:
        del inner[name]
    return values


def refusal(values: Any) -> BackupError:
    with pytest.raises(BackupError) as caught:
        BackupConfig.from_mapping(values)
    assert caught.value.code is Code.CONFIG
    return caught.value


def test_what_the_tests_change_is_good(tmp_path: Path) -> None:
    config = BackupConfig.from_mapping(settings(tmp_path))
    assert (config.env, config.cluster.port, config.policy.days) == ("prod", 1, 30)
    assert config.cluster.data_dir == tmp_path / "data"
    assert (config.memory_file, config.outbox, config.proofs_file) == (
        tmp_path / "state/head.json",
        tmp_path / "state/outbox",
        tmp_path / "state/proofs.json",
    )


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("env", REMOVED, "setting missing: env"),
        ("cluster.database", REMOVED, "setting missing: cluster.database"),
        ("trusted_keys", REMOVED, "setting missing: trusted_keys"),
        ("colour", "blue", "unknown setting: colour"),
        ("mail.hots", "relay", "unknown setting: mail.hots"),
        ("policy.dais", 30, "unknown setting: policy.dais"),
        ("file", 7, "file is no absolute path"),
        ("env", 7, "env is 7, no text"),
        ("host", None, "host is None, no text"),
        ("cluster.version", "15", "cluster.version is '15', no whole number"),
        ("cluster.port", 5432.0, "cluster.port is 5432.0, no whole number"),
        ("cluster.port", True, "cluster.port is True, no whole number"),
        ("mail.starttls", "yes", "mail.starttls is 'yes', no true or false"),
        ("mail.starttls", 1, "mail.starttls is 1, no true or false"),
        ("cluster", [], "cluster is no group of settings"),
        ("storage", "bucket", "storage is 'bucket', no group of settings"),
        ("state_dir", "var/lib", "state_dir is no absolute path"),
        ("state_dir", None, "state_dir is no absolute path"),
        ("storage.directory", "backups", "storage.directory is no absolute path"),
        ("media_paths", "/srv/media", "media_paths is '/srv/media', no list"),
        ("media_paths", ["/srv/media", "uploads"], "media_paths[1] is no absolute path"),
        ("trusted_keys", [5], "trusted_keys[0] is 5, no text"),
        ("trusted_keys", [], "trusted_keys names no public key"),
        ("policy.verified_within", "8 days", "policy.verified_within is '8 days', no number of seconds"),
        ("policy.verified_within", True, "policy.verified_within is True, no number of seconds"),
        ("policy.skew", float("nan"), "policy.skew is nan, no number of seconds"),
        ("policy.skew", 1e300, "policy.skew is 1e+300, no number of seconds"),
        ("policy.skew", -60, "policy.skew is -60, less than 1"),
        ("policy.days", -1, "policy.days is -1, less than 0"),
        ("policy.minimum", 0, "policy.minimum is 0, less than 1"),
        ("policy.drilled", -1, "policy.drilled is -1, less than 0"),
        ("policy.good_level", 0, "policy.good_level is 0, no level"),
        ("policy.most_percent", 101, "policy.most_percent is 101, no share"),
        ("bounds.job_seconds", 0, "bounds.job_seconds is 0, less than 1"),
        ("bounds.rpo_seconds", -1, "bounds.rpo_seconds is -1, less than 0"),
        ("cluster.port", 65536, "cluster.port is 65536, no port"),
        ("mail.recipients", ["ops@shop.example"], "no mail.host or mail.sender"),
    ],
)
def test_each_bad_setting_is_named(tmp_path: Path, place: str, value: Any, words: str) -> None:
    error = refusal(changed(settings(tmp_path), place, value))
    assert words in error.message
    assert error.hint == MEND


def test_all_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    values = changed(changed(settings(tmp_path), "cluster.version", REMOVED), "cluster.database", REMOVED)
    assert refusal(values).message == "setting missing: cluster.database, cluster.version"


def test_all_that_no_host_can_work_with_is_named_at_once(tmp_path: Path) -> None:
    error = refusal(changed(changed(settings(tmp_path), "policy.days", -1), "cluster.port", 0))
    assert "policy.days" in error.message and "cluster.port" in error.message


@pytest.mark.parametrize(
    ("place", "secret"),
    [("slack_webhook_file", "https://hooks.example/T0/B0/hush"), ("mail.password_file", "hush-hush")],
)
def test_a_secret_in_the_place_of_its_file_is_not_told(tmp_path: Path, place: str, secret: str) -> None:
    error = refusal(changed(settings(tmp_path), place, secret))
    assert error.message == f"{place} is no absolute path"


def test_what_may_be_left_out_may_be_empty(tmp_path: Path) -> None:
    for empty in ("", None):
        config = BackupConfig.from_mapping(changed(settings(tmp_path), "identity_file", empty))
        assert config.identity_file is None


def test_seconds_become_a_length_of_time(tmp_path: Path) -> None:
    config = BackupConfig.from_mapping(changed(settings(tmp_path), "policy.verified_within", 3600.5))
    assert config.policy.verified_within == timedelta(seconds=3600.5)


@pytest.mark.parametrize(
    ("content", "words", "hint"),
    [
        (None, "does not exist: this host makes no backups", CONVERGE),
        (b"{", "cannot be read", CONVERGE),
        (b"\xff", "cannot be read", CONVERGE),
        (b"[]", "the file is no group of settings", MEND),
        (b"null", "the file is None, no group of settings", MEND),
        (b"{}", "setting missing: env, host, storage, cluster, trusted_keys", MEND),
    ],
)
def test_a_file_that_is_none_is_told_from_one_that_is_bad(
    tmp_path: Path, content: bytes | None, words: str, hint: str
) -> None:
    path = tmp_path / "backup.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BackupError) as caught:
        BackupConfig.load(path)
    assert (caught.value.code, caught.value.hint) == (Code.CONFIG, hint)
    assert words in caught.value.message


def test_the_file_names_itself(tmp_path: Path) -> None:
    path = tmp_path / "backup.json"
    path.write_text(json.dumps(settings(tmp_path)))
    assert BackupConfig.load(path).file == path
