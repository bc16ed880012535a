"""The verifier that PostgreSQL and PgBouncer share."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from ansible.errors import AnsibleFilterError

from filter_plugins.scram import scram_verifier, verifier


def test_the_exchange_of_rfc_7677_succeeds_with_the_keys() -> None:
    """RFC 7677, section 3: user `user`, password `pencil`."""
    text = verifier("pencil", base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096)
    stored_key, server_key = (base64.b64decode(part) for part in text.rpartition("$")[2].split(":"))
    message = (
        b"n=user,r=rOprNGfwEbeRWgbNEkqO,"
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    )
    assert (
        base64.b64encode(hmac.digest(server_key, message, "sha256")) == b"6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    )
    proof = base64.b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    signature = hmac.digest(stored_key, message, "sha256")
    client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
    assert hashlib.sha256(client_key).digest() == stored_key


def test_the_same_input_gives_the_same_verifier() -> None:
    assert scram_verifier("secret", "app", "shop.test") == scram_verifier("secret", "app", "shop.test")


def test_user_and_store_change_the_salt() -> None:
    salts = {
        scram_verifier("secret", user, store).split("$")[1]
        for user, store in (("app", "shop.test"), ("migrator", "shop.test"), ("app", "other.test"))
    }
    assert len(salts) == 3


def test_the_password_does_not_change_the_salt() -> None:
    """A salt made of the password would let an attacker test guesses without the slow hash."""
    first, second = (scram_verifier(password, "app", "shop.test").split("$")[1] for password in ("one", "two"))
    assert first == second


@pytest.mark.parametrize("password", ["", "naïve", "tab\there"])
def test_passwords_that_cannot_work_are_named(password: str) -> None:
    with pytest.raises(AnsibleFilterError, match=r"role app .*vault\.yml"):
        scram_verifier(password, "app", "shop.test")
