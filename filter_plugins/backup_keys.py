"""Derive the keys that sign backups from one secret: the vault holds one line, and the inventory no copy."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from ansible.errors import AnsibleFilterError
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

SHORTEST = 40
PREFIX = "ed25519:"


def _key(seed: str) -> Ed25519PrivateKey:
    if len(seed) < SHORTEST:
        raise AnsibleFilterError(
            f"vault_pasargad_backup_signing_seed has {len(seed)} characters and needs {SHORTEST}: "
            "playbooks/bootstrap.yml draws one"
        )
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"pasargad-backup-signing:" + seed.encode()).digest())


def ed25519_public_key(seed: str) -> str:
    """Return the public key as inventories and hosts write it: `ed25519:BASE64`."""
    public = _key(seed).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return PREFIX + base64.b64encode(public).decode()


def ed25519_private_key(seed: str) -> str:
    """Return the private key as PEM (PKCS 8), as the host keeps it."""
    return _key(seed).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


class FilterModule:
    """What Ansible looks for in a file of filters."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {"ed25519_public_key": ed25519_public_key, "ed25519_private_key": ed25519_private_key}
