"""Sign what this host commits, and believe only what a pinned key has signed."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from ..files import write_atomically
from .errors import BackupError, Code
from .records import DAMAGED, canonical

PREFIX = "ed25519:"
# Said before the body, so that a signature over one kind of file is worth nothing under another.
PURPOSE = b"pasargad-backup/"
KEY_MODE = 0o600
PIN = "list the public keys of all hosts that wrote sets, old ones too, in the inventory (ed25519:BASE64)"

Trusted = Mapping[str, Ed25519PublicKey]


@dataclass(frozen=True)
class Signer:
    """A private key and the fingerprint by which its signatures are found; it never shows the key."""

    fingerprint: str
    public: str
    _key: Ed25519PrivateKey = field(repr=False, compare=False)

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)


def _raw(key: Ed25519PublicKey) -> bytes:
    # public_bytes_raw() is younger than Debian 12's cryptography.
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def fingerprint(key: Ed25519PublicKey) -> str:
    """Return the first 32 hex digits of the SHA-256 of the raw public key."""
    return hashlib.sha256(_raw(key)).hexdigest()[:32]


def make_key(path: Path) -> str:
    """Write a new private key unless there is one, and return its public key as the inventory wants it.

    Raises BackupError (KEY) when the key that is there cannot be used.
    """
    if not path.exists():
        pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_atomically(path, pem, mode=KEY_MODE)
    return load_signer(path).public


def load_signer(path: Path) -> Signer:
    """Read the private key (PEM, mode 0600, of root or this user); raises BackupError (KEY) when it is not fit."""
    try:
        key = load_pem_private_key(_read_private(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # What the library says of it may quote the file.
        raise _unusable(f"{path} holds no unencrypted private key") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise _unusable(f"{path} holds a key of another kind than Ed25519")
    public = key.public_key()
    return Signer(fingerprint(public), PREFIX + base64.b64encode(_raw(public)).decode(), key)


def _read_private(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise _unusable(f"{path} is no file")
            if about.st_mode & 0o077:
                raise BackupError(
                    Code.KEY,
                    f"others than its owner may read or write {path} (mode {stat.S_IMODE(about.st_mode):04o})",
                    hint=f"whoever read it can forge backups: make a new key and pin it, or chmod 0600 {path}",
                )
            if about.st_uid not in (0, os.geteuid()):
                raise _unusable(f"{path} belongs to somebody else (user {about.st_uid})")
            return file.read()
    except OSError as error:
        raise _unusable(f"the signing key {path} cannot be read: {error.strerror}") from error


def _unusable(message: str) -> BackupError:
    return BackupError(
        Code.KEY,
        message,
        hint="put the host's Ed25519 key back from the vault, or make a new one and pin it: deploy.yml",
    )


def trusted_keys(texts: Sequence[str]) -> Trusted:
    """Read pinned public keys (`ed25519:BASE64`), by fingerprint; raises BackupError (KEY) for none or a bad one."""
    if not texts:
        raise BackupError(Code.KEY, "no public key is pinned, so no manifest can be believed", hint=PIN)
    keys = [_public(text) for text in texts]
    return {fingerprint(key): key for key in keys}


def _public(text: str) -> Ed25519PublicKey:
    try:
        if not text.startswith(PREFIX):
            raise ValueError(text)
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(text[len(PREFIX) :], validate=True))
    except ValueError as error:
        raise BackupError(Code.KEY, f"{text!r} is no public key", hint=PIN) from error


def require_pinned(signer: Signer, trusted: Trusted) -> None:
    """Raise BackupError (KEY) when nobody would believe what `signer` signs."""
    if signer.fingerprint not in trusted:
        raise BackupError(
            Code.KEY,
            f"this host signs with {signer.fingerprint}, which is not pinned: nobody could restore its sets",
            hint=f"add {signer.public} to the public keys in the inventory and run deploy.yml",
        )


def seal(name: str, body: dict[str, Any], signers: Sequence[Signer]) -> bytes:
    """Return the file `{NAME: body, "signatures": [{"key", "sig"}]}` in its canonical form."""
    message = PURPOSE + name.encode() + b"\n" + canonical(body)
    signatures = [
        {"key": signer.fingerprint, "sig": base64.b64encode(signer.sign(message)).decode()} for signer in signers
    ]
    return canonical({name: body, "signatures": signatures})


def unseal(name: str, raw: bytes, trusted: Trusted, where: str) -> dict[str, Any]:
    """Return the body of a sealed file that a pinned key has signed.

    Raises BackupError: KEY when no pinned key signed it, INTEGRITY when it is not what was signed.
    """
    body, signatures = _open(name, raw, where)
    message = PURPOSE + name.encode() + b"\n" + canonical(body)
    pinned = [(trusted[key], sig) for key, sig in signatures if key in trusted]
    if not pinned:
        names = ", ".join(key for key, _ in signatures) or "nobody"
        raise BackupError(
            Code.KEY,
            f"{where} is signed by {names}, and none of these keys is pinned",
            hint=f"if a host of yours wrote it, {PIN}; if not, somebody else writes into this bucket",
        )
    for key, sig in pinned:
        try:
            key.verify(sig, message)
        except InvalidSignature:
            raise _forged(f"{where} is not what was signed") from None
    return body


def _open(name: str, raw: bytes, where: str) -> tuple[dict[str, Any], list[tuple[str, bytes]]]:
    try:
        whole = json.loads(raw)
        body, signatures = (
            whole[name],
            [(str(one["key"]), base64.b64decode(one["sig"], validate=True)) for one in whole["signatures"]],
        )
        if not isinstance(body, dict):
            raise TypeError(name)
    except (ValueError, TypeError, KeyError, RecursionError, binascii.Error) as error:
        raise _forged(f"{where} is no signed {name}") from error
    if canonical(whole) != raw:
        # Another spelling of the same values would have another hash and still a good signature.
        raise _forged(f"{where} is not in the form in which it was signed")
    return body, signatures


def _forged(message: str) -> BackupError:
    return BackupError(Code.INTEGRITY, message, hint=DAMAGED)
