"""The mail sink: TLS and login first, then everything is kept before the sender hears 250."""

from __future__ import annotations

import datetime
import smtplib
import ssl
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from .conftest import Service, call, read

USER, PASSWORD = "shop", "right password"


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Return a self-signed certificate for localhost; its key lies beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "tls.crt"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "tls.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


@pytest.fixture
def sink(run_service: Callable[..., Service], certificate: Path) -> Service:
    """Return a running mail sink."""
    key = certificate.with_suffix(".key")
    return run_service("mail", certificate=str(certificate), key=str(key), user=USER, password=PASSWORD)


@pytest.fixture
def board(run_service: Callable[..., Service]) -> Service:
    """Return the board over the sink's records."""
    return run_service("board", s3_url="http://127.0.0.1:9", acme_management_url="", authority="")


@pytest.fixture
def connection(sink: Service) -> Iterator[smtplib.SMTP]:
    """Return an open, unencrypted connection."""
    with smtplib.SMTP("localhost", sink.config["mail"]["port"], timeout=10) as opened:
        yield opened


@pytest.fixture
def logged_in(connection: smtplib.SMTP, certificate: Path) -> smtplib.SMTP:
    """Return a connection over verified TLS with the right login."""
    connection.starttls(context=ssl.create_default_context(cafile=str(certificate)))
    connection.login(USER, PASSWORD)
    return connection


def order_mail() -> EmailMessage:
    """Return a mail with text, HTML and an attachment."""
    message = EmailMessage()
    message["From"], message["To"] = "Shop <orders@shop.test>", "ann@example.com"
    message["Subject"] = "Your order P-1: 3 Löwen"
    message.set_content("Thanks!\nSee https://shop.test/orders/abc?x=1&y=2.\n")
    message.add_alternative("<p>Thanks! <a href='https://shop.test/orders/abc'>Order</a></p>", subtype="html")
    message.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="invoice.pdf")
    return message


def test_a_mail_is_kept_and_shown(logged_in: smtplib.SMTP, board: Service) -> None:
    message = order_mail()
    assert logged_in.send_message(message, to_addrs=["ann@example.com", "bcc@example.com"]) == {}
    (kept,) = read(board, "/api/mails")
    assert (kept["subject"], kept["sender"]) == ("Your order P-1: 3 Löwen", "orders@shop.test")
    assert kept["recipients"] == ["ann@example.com", "bcc@example.com"]
    assert "https://shop.test/orders/abc?x=1&y=2" in kept["text"]
    assert "<a href=" in kept["html"]
    assert kept["attachments"] == ["invoice.pdf"]
    assert read(board, f"/api/mails/{kept['id']}") == kept
    call(board, "DELETE", "/api/mails")
    assert read(board, "/api/mails") == []


def test_nothing_is_taken_without_tls(connection: smtplib.SMTP) -> None:
    with pytest.raises(smtplib.SMTPException, match="STARTTLS"):
        connection.send_message(order_mail())
    with pytest.raises(smtplib.SMTPException):
        connection.login(USER, PASSWORD)


def test_nothing_is_taken_without_a_login(connection: smtplib.SMTP, certificate: Path) -> None:
    connection.starttls(context=ssl.create_default_context(cafile=str(certificate)))
    with pytest.raises(smtplib.SMTPSenderRefused) as caught:
        connection.send_message(order_mail())
    assert caught.value.smtp_code == 530


@pytest.mark.parametrize(("user", "password"), [(USER, "wrong"), ("other", PASSWORD), (USER, "")])
def test_a_wrong_login_is_refused(connection: smtplib.SMTP, certificate: Path, user: str, password: str) -> None:
    connection.starttls(context=ssl.create_default_context(cafile=str(certificate)))
    with pytest.raises(smtplib.SMTPAuthenticationError) as caught:
        connection.login(user, password)
    assert caught.value.smtp_code == 535


def test_planned_refusals_come_as_often_as_planned(logged_in: smtplib.SMTP, board: Service) -> None:
    call(board, "POST", "/api/mails/refusals", {"reply": "451 4.3.0 try later", "times": 2})
    for _ in range(2):
        with pytest.raises(smtplib.SMTPDataError) as caught:
            logged_in.send_message(order_mail())
        assert caught.value.smtp_code == 451
    logged_in.send_message(order_mail())
    assert len(read(board, "/api/mails")) == 1


def test_a_kill_loses_no_mail(logged_in: smtplib.SMTP, sink: Service, board: Service) -> None:
    for _ in range(3):
        logged_in.send_message(order_mail())
    sink.kill()
    sink.start()
    assert len(read(board, "/api/mails")) == 3
