"""What is wrong before a release: hosts that do not answer, a closed vault, taken ports, an expired certificate."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.e2e.bad_input.refusal import only_message, unharmed
from tests.shop import DOMAIN, Shop
from tests.web import Web

pytestmark = [pytest.mark.lab, pytest.mark.slow]
LISTEN = "systemd-run --quiet --collect --unit=squatter python3 -c {}"
SQUATTER = (
    "'import socket, time; s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); "
    's.bind(("{address}", {port})); s.listen(); time.sleep(3600)\''
)


def test_a_host_that_does_not_answer(shop: Shop, web: Web, release: str) -> None:
    refused = shop.deploy("-e", "ansible_port=1")
    message = only_message(refused, "cannot be reached. Nothing was changed.", "store1 at ", "ansible_host")
    assert "hosts.yml" in message
    unharmed(shop, web, release)


def test_another_password_of_the_vault(shop: Shop, web: Web, release: str, tmp_path: Path) -> None:
    other = tmp_path / "password"
    other.write_text("not-the-password\n")
    refused = shop.playbook("deploy.yml", env={"PASARGAD_VAULT_PASSWORD_FILE": str(other)})
    assert refused.code != 0
    assert f"the password in {other} does not open it" in refused.output
    assert "PASARGAD_VAULT_PASSWORD_FILE" in refused.output
    unharmed(shop, web, release)


@contextmanager
def squatter(shop: Shop, service: str, address: str, port: int) -> Iterator[None]:
    """Let another program have the port of a service that is stopped for it."""
    program = LISTEN.format(SQUATTER.format(address=address, port=port))
    shop.on("store1", f"systemctl stop {service} && {program}").require()
    try:
        yield
    finally:
        shop.on("store1", f"systemctl stop squatter.service; systemctl start {service}").require()


@pytest.mark.parametrize(
    ("service", "address", "port", "setting"),
    [("nginx", "0.0.0.0", 443, "web_proxy_https_port"), ("pgbouncer", "127.0.0.1", 6432, "pasargad_pgbouncer_port")],  # noqa: S104
)
def test_a_port_that_is_taken(
    shop: Shop, web: Web, release: str, service: str, address: str, port: int, setting: str
) -> None:
    with squatter(shop, service, address, port):
        refused = shop.deploy("-e", "pasargad_converge=full")
    only_message(refused, f"port {port}, which", "is taken", "python3", setting)
    unharmed(shop, web, release)


def expired_certificate(directory: Path) -> tuple[Path, Path]:
    """Write a certificate for the shop that ended yesterday, and its key."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, DOMAIN)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=30))
        .not_valid_after(now - datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(DOMAIN)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    fullchain, privkey = directory / "fullchain.pem", directory / "privkey.pem"
    fullchain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    privkey.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return fullchain, privkey


def test_an_expired_certificate(shop: Shop, web: Web, release: str, tmp_path: Path) -> None:
    fullchain, privkey = expired_certificate(tmp_path)
    provided = ["pasargad_tls_mode=provided", f"tls_provided_fullchain_path={fullchain}"]
    refused = shop.deploy(
        *(word for pair in (*provided, f"tls_provided_privkey_path={privkey}") for word in ("-e", pair))
    )
    only_message(refused, "the certificate you provided expired on", "tls_provided_fullchain_path")
    unharmed(shop, web, release)
    # It is refused while nothing has been applied yet.
    assert '"mode": "acme"' in shop.on("store1", "cat /etc/pasargad/tls/tls.json").require().output
