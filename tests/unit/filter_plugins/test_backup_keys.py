"""The pair that is derived on the control node is the pair that the host signs with."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError

from filter_plugins.backup_keys import ed25519_private_key, ed25519_public_key
from pasargad_ops.backup.signatures import load_signer, trusted_keys

SEED = "a" * 63 + "b"


def test_the_host_signs_with_the_key_that_the_inventory_pins(tmp_path: Path) -> None:
    path = tmp_path / "signing.pem"
    path.write_text(ed25519_private_key(SEED))
    path.chmod(0o600)
    signer = load_signer(path)
    assert signer.public == ed25519_public_key(SEED)
    assert signer.fingerprint in trusted_keys([ed25519_public_key(SEED)])


def test_the_same_secret_gives_the_same_key_and_another_gives_another() -> None:
    assert ed25519_private_key(SEED) == ed25519_private_key(SEED)
    assert ed25519_public_key(SEED) != ed25519_public_key(SEED[::-1])


def test_a_secret_that_can_be_guessed_is_refused() -> None:
    with pytest.raises(AnsibleFilterError, match=r"bootstrap\.yml draws one"):
        ed25519_public_key("short")
