"""Only what a pinned key has signed is believed, and only a key that nobody else could read signs."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from pasargad_ops.backup.errors import BackupError, Code
from pasargad_ops.backup.records import canonical
from pasargad_ops.backup.signatures import (
    PREFIX,
    Signer,
    load_signer,
    make_key,
    require_pinned,
    seal,
    trusted_keys,
    unseal,
)

BODY = {"seq": 5, "name": "Größe"}


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    make_key(tmp_path / "key.pem")
    return load_signer(tmp_path / "key.pem")


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Signer, bytes]:
    path = tmp_path_factory.mktemp("key") / "key.pem"
    make_key(path)
    signer = load_signer(path)
    return signer, seal("manifest", BODY, [signer])


def other_signer(tmp_path: Path) -> Signer:
    make_key(tmp_path / "other.pem")
    return load_signer(tmp_path / "other.pem")


def test_what_was_signed_is_believed(signer: Signer) -> None:
    raw = seal("manifest", BODY, [signer])
    assert unseal("manifest", raw, trusted_keys([signer.public]), "here") == BODY
    assert json.loads(raw)["signatures"][0]["key"] == signer.fingerprint


def test_openssl_says_the_same(signer: Signer, tmp_path: Path) -> None:
    """The signature can be checked without this code, for as long as there is an openssl."""
    whole = json.loads(seal("manifest", BODY, [signer]))
    raw_key = base64.b64decode(signer.public.removeprefix(PREFIX))
    public = ed25519.Ed25519PublicKey.from_public_bytes(raw_key)
    (tmp_path / "public.pem").write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    (tmp_path / "sig").write_bytes(base64.b64decode(whole["signatures"][0]["sig"]))
    spoken = json.dumps(whole["manifest"], sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    (tmp_path / "message").write_bytes(b"pasargad-backup/manifest\n" + spoken)
    command = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "public.pem", "-sigfile", "sig", "-in"]
    good = subprocess.run([*command, "message"], cwd=tmp_path, capture_output=True, check=False)
    assert good.returncode == 0, good.stderr
    (tmp_path / "message").write_bytes(b"pasargad-backup/manifest\n" + spoken.replace(b"5", b"6"))
    assert subprocess.run([*command, "message"], cwd=tmp_path, capture_output=True, check=False).returncode != 0


@given(data=st.data())
def test_no_byte_can_be_changed_unseen(sealed: tuple[Signer, bytes], data: st.DataObject) -> None:
    signer, raw = sealed
    place = data.draw(st.integers(0, len(raw) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != raw[place]))
    forged = raw[:place] + bytes([byte]) + raw[place + 1 :]
    with pytest.raises(BackupError) as caught:
        unseal("manifest", forged, trusted_keys([signer.public]), "here")
    assert caught.value.code in (Code.INTEGRITY, Code.KEY)


@given(length=st.integers(0, 400))
def test_a_part_is_not_believed(sealed: tuple[Signer, bytes], length: int) -> None:
    signer, raw = sealed
    if length < len(raw):
        with pytest.raises(BackupError):
            unseal("manifest", raw[:length], trusted_keys([signer.public]), "here")


def test_another_spelling_of_the_same_is_not_believed(signer: Signer) -> None:
    raw = seal("manifest", BODY, [signer])
    for other in (raw + b"\n", raw.replace(b":", b": "), raw[:-1] + b',"a":1}', raw.replace("ö".encode(), b"\\u00f6")):
        with pytest.raises(BackupError):
            unseal("manifest", other, trusted_keys([signer.public]), "here")


def test_a_signature_over_one_kind_of_file_is_worth_nothing_under_another(signer: Signer) -> None:
    whole = json.loads(seal("manifest", BODY, [signer]))
    moved = canonical({"tombstone": whole["manifest"], "signatures": whole["signatures"]})
    with pytest.raises(BackupError, match="not what was signed"):
        unseal("tombstone", moved, trusted_keys([signer.public]), "here")


def test_sets_of_an_old_key_stay_believed_while_it_is_pinned(signer: Signer, tmp_path: Path) -> None:
    new = other_signer(tmp_path)
    both, only_new = trusted_keys([new.public, signer.public]), trusted_keys([new.public])
    old_set = seal("manifest", BODY, [signer])
    assert unseal("manifest", old_set, both, "here") == BODY
    with pytest.raises(BackupError, match="none of these keys is pinned") as caught:
        unseal("manifest", old_set, only_new, "here")
    assert caught.value.code is Code.KEY
    assert unseal("manifest", seal("manifest", BODY, [signer, new]), only_new, "here") == BODY


def test_a_stranger_cannot_sign_under_a_pinned_name(signer: Signer, tmp_path: Path) -> None:
    stranger = other_signer(tmp_path)
    whole = json.loads(seal("manifest", BODY, [stranger]))
    whole["signatures"][0]["key"] = signer.fingerprint
    with pytest.raises(BackupError, match="not what was signed") as caught:
        unseal("manifest", canonical(whole), trusted_keys([signer.public]), "here")
    assert caught.value.code is Code.INTEGRITY


def test_nobodys_signature_is_nobodys(signer: Signer) -> None:
    with pytest.raises(BackupError, match="signed by nobody") as caught:
        unseal("manifest", seal("manifest", BODY, []), trusted_keys([signer.public]), "here")
    assert caught.value.code is Code.KEY


def test_the_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "signing.pem"
    public = make_key(path)
    before = path.read_bytes()
    assert public.startswith("ed25519:")
    assert path.stat().st_mode & 0o777 == 0o600
    assert make_key(path) == public
    assert path.read_bytes() == before


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o602])
def test_a_key_that_others_could_read_is_not_used(signer: Signer, tmp_path: Path, mode: int) -> None:
    (tmp_path / "key.pem").chmod(mode)
    with pytest.raises(BackupError, match=f"mode {mode:04o}") as caught:
        load_signer(tmp_path / "key.pem")
    assert caught.value.code is Code.KEY
    assert "chmod 0600" in caught.value.hint


def pem(
    key: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, password: bytes = b""
) -> bytes:
    shut = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, shut)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no unencrypted private key"),
        (b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n", "no unencrypted private key"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "another kind than Ed25519"),
        (pem(ed25519.Ed25519PrivateKey.generate(), b"password"), "no unencrypted private key"),
    ],
)
def test_a_wrong_key_file_says_so_and_shows_nothing_of_itself(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "key.pem"
    path.touch(mode=0o600)
    path.write_bytes(content)
    with pytest.raises(BackupError, match=words) as caught:
        load_signer(path)
    assert caught.value.code is Code.KEY
    assert caught.value.hint
    inner = content.split(b"\n")[1:2]
    assert not inner or inner[0].decode() not in f"{caught.value} {caught.value.hint} {caught.value.__cause__}"


def test_a_missing_key_says_which(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.pem", tmp_path):
        with pytest.raises(BackupError, match=str(path)) as caught:
            load_signer(path)
        assert caught.value.code is Code.KEY


def test_a_key_is_never_shown(signer: Signer) -> None:
    assert "Ed25519PrivateKey" not in repr(signer)


@pytest.mark.parametrize("pins", [[], ["ed25519:"], ["ed25519:AAAA"], ["rsa:AAAA"], ["ed25519:***"], [""]])
def test_bad_pins_are_refused(pins: list[str]) -> None:
    with pytest.raises(BackupError) as caught:
        trusted_keys(pins)
    assert caught.value.code is Code.KEY
    assert "inventory" in caught.value.hint


def test_a_host_whose_key_is_not_pinned_is_told_what_to_pin(signer: Signer, tmp_path: Path) -> None:
    with pytest.raises(BackupError) as caught:
        require_pinned(signer, trusted_keys([other_signer(tmp_path).public]))
    assert caught.value.code is Code.KEY
    assert signer.public in caught.value.hint
