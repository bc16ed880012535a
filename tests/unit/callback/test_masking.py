"""Which variables are secrets, and in which forms their values are found."""

from __future__ import annotations

import json
import urllib.parse

import pytest
from pasargad_output.masking import MASK, Masker, is_secret_name, secret_values


@pytest.mark.parametrize(
    "name",
    [
        *("vault_anything", "pasargad_db_app_password", "pasargad_secret_key", "pasargad_stripe_webhook_secret"),
        *("pasargad_backup_passphrase", "pasargad_metrics_token", "pasargad_s3_secret_access_key"),
        *("pasargad_s3_access_key_id", "app_env_redis_password"),
    ],
)
def test_secret_names(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["pasargad_domain", "pasargad_db_port", "tls_key_bits", "pasargad_tokens_per_minute"])
def test_other_names(name: str) -> None:
    assert not is_secret_name(name)


def test_values_are_found_in_lists_and_short_or_templated_ones_left_out() -> None:
    found = secret_values(
        {"vault_list": ["first-value", {"deep": "second-value"}], "a_password": "short", "b_password": "{{ vault_x }}"}
    )
    assert found == {"first-value", "second-value"}


def test_every_form_is_masked() -> None:
    secret = 'a "quoted"/word+and\nanother line that is long enough'
    masker = Masker()
    masker.learn([secret])
    for form in (secret, json.dumps(secret), urllib.parse.quote(secret, safe=""), secret.splitlines()[1]):
        assert "long enough" not in urllib.parse.unquote(masker.mask(f"x {form} y"))
        assert MASK in masker.mask(f"x {form} y")


def test_the_longer_of_two_secrets_is_masked_whole() -> None:
    masker = Masker()
    masker.learn(["secret-word", "secret-word-longer"])
    assert masker.mask("secret-word-longer") == MASK
