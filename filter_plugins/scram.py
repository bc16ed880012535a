"""SCRAM-SHA-256 verifiers (RFC 5803), so that PostgreSQL and PgBouncer store the same one and no password."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable

from ansible.errors import AnsibleFilterError

ITERATIONS = 4096


def scram_verifier(password: str, user: str, store: str) -> str:
    """Return the verifier PostgreSQL would store for a password.

    The salt is made of the user's and the store's name: it differs wherever it must differ, and the same input gives
    the same verifier, so a second run changes nothing. Passwords must be printable ASCII: SASLprep leaves those alone.
    """
    if not password:
        raise AnsibleFilterError(
            f"the password of database role {user} is empty: set it in vault.yml (bootstrap.yml draws one)"
        )
    if not (password.isascii() and password.isprintable()):
        raise AnsibleFilterError(
            f"the password of database role {user} has characters beyond printable ASCII: choose another in vault.yml"
        )
    salt = hashlib.sha256(f"pasargad:{store}:{user}".encode()).digest()[:16]
    return verifier(password, salt, ITERATIONS)


def verifier(password: str, salt: bytes, iterations: int) -> str:
    """Return `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    text = [base64.b64encode(part).decode() for part in (salt, stored_key, server_key)]
    return f"SCRAM-SHA-256${iterations}:{text[0]}${text[1]}:{text[2]}"


class FilterModule:
    """What Ansible looks for in a file of filters."""

    def filters(self) -> dict[str, Callable[..., str]]:
        return {"scram_verifier": scram_verifier}
