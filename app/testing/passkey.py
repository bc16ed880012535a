"""A security key in software (WebAuthn level 2, ES256, no attestation), as a browser would hand on its answers."""

from __future__ import annotations

import hashlib
import json
import secrets
import struct
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2 import cbor

PRESENT, VERIFIED, ATTESTED = 1, 4, 64


def text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass
class Passkey:
    """`origin` is the page that the browser says it is on."""

    origin: str = "https://testserver"
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    private: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    user_handle: str = ""
    used: int = 0

    def create(self, options: dict[str, Any]) -> str:
        """Answer what a page asks for to add this key."""
        wanted = options["publicKey"]
        self.user_handle = wanted["user"]["id"]
        numbers = self.private.public_key().public_numbers()
        key = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        attested = b"\0" * 16 + struct.pack(">H", len(self.credential_id)) + self.credential_id + cbor.encode(key)
        data = self._data(wanted["rp"]["id"], PRESENT | VERIFIED | ATTESTED) + attested
        answer = {
            "clientDataJSON": text(self._client_data("webauthn.create", wanted["challenge"])),
            "attestationObject": text(cbor.encode({"fmt": "none", "attStmt": {}, "authData": data})),
        }
        return self._credential(answer, {"credProps": {"rk": True}})

    def get(self, options: dict[str, Any]) -> str:
        """Answer what a page asks for to sign in."""
        wanted = options["publicKey"]
        data = self._data(wanted["rpId"], PRESENT | VERIFIED)
        said = self._client_data("webauthn.get", wanted["challenge"])
        signature = self.private.sign(data + hashlib.sha256(said).digest(), ec.ECDSA(hashes.SHA256()))
        answer = {
            "clientDataJSON": text(said),
            "authenticatorData": text(data),
            "signature": text(signature),
            "userHandle": self.user_handle,
        }
        return self._credential(answer, {})

    def _data(self, site: str, flags: int) -> bytes:
        self.used += 1
        return hashlib.sha256(site.encode()).digest() + struct.pack(">BI", flags, self.used)

    def _client_data(self, kind: str, challenge: str) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}).encode()

    def _credential(self, response: dict[str, str], results: dict[str, Any]) -> str:
        known = text(self.credential_id)
        return json.dumps(
            {
                "type": "public-key",
                "id": known,
                "rawId": known,
                "authenticatorAttachment": "platform",
                "response": response,
                "clientExtensionResults": results,
            }
        )
