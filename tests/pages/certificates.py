"""A certificate for the shop's name, signed by an authority that nobody else knows."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Certificates:
    """`directory` holds fullchain.pem, privkey.pem and ca.pem; `spki` is what a browser may be told to accept."""

    directory: Path
    spki: str

    @property
    def authority(self) -> Path:
        return self.directory / "ca.pem"


def make(directory: Path, domain: str) -> Certificates:
    """Write an authority and a certificate for a domain, good for two days."""
    directory.mkdir(parents=True)
    now = datetime.now(UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority of a test of pages")])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, domain)])

    def begin(subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(ca_name).public_key(public)
        builder = builder.serial_number(x509.random_serial_number())
        return builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=2))

    ca = begin(ca_name, ca_key.public_key()).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    authority = ca.sign(ca_key, hashes.SHA256())
    leaf = begin(name, key.public_key()).add_extension(
        x509.SubjectAlternativeName([x509.DNSName(domain)]), critical=False
    )
    certificate = leaf.sign(ca_key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    (directory / "ca.pem").write_bytes(authority.public_bytes(pem))
    (directory / "fullchain.pem").write_bytes(certificate.public_bytes(pem) + authority.public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (directory / "privkey.pem").write_bytes(private)
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return Certificates(directory, base64.b64encode(hashlib.sha256(public).digest()).decode())
