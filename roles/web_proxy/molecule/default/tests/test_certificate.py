"""Certificates: issued by a real ACME server, renewed, provided, refused."""

from __future__ import annotations

import json

import pytest
from testinfra.host import Host

testinfra_hosts = ["ansible://tested"]

TOOL = "/usr/local/sbin/pasargad-tls"
HOME = "/root/tls-trial"

# Makes a pair: python3 - DIRECTORY NAME FIRST_DAY LAST_DAY
MAKE_PAIR = """
import datetime, pathlib, sys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
directory, name, first, last = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
now = datetime.datetime.now(datetime.timezone.utc)
key, subject = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
certificate = (
    x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    .serial_number(x509.random_serial_number()).not_valid_before(now + datetime.timedelta(days=first))
    .not_valid_after(now + datetime.timedelta(days=last))
    .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False).sign(key, hashes.SHA256())
)
directory.mkdir(parents=True, exist_ok=True)
(directory / "fullchain.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
(directory / "privkey.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption()))
"""


def outside(host: Host, command: str) -> None:
    """Run a command on the lab host that plays the world."""
    (other,) = Host.get_hosts(["ansible://outside"], ansible_inventory=host.backend.ansible_inventory)
    other.check_output(command)


def served_serial(host: Host) -> str:
    name = f"{host.check_output('hostname')}.pasargad.test"
    pem = f"openssl s_client -connect 127.0.0.1:443 -servername {name} < /dev/null 2> /dev/null"
    return host.check_output(f"{pem} | openssl x509 -noout -serial")


def settings(host: Host, mode: str, names: list[str], **more: object) -> None:
    """Give the tool a trial home of its own, beside the one in use."""
    value = json.loads(host.file("/etc/pasargad/tls/tls.json").content_string)
    value |= {"mode": mode, "names": names, "live": f"{HOME}/live", **more}
    host.check_output(f"rm -rf {HOME}; mkdir -p {HOME}/provided; printf %%s %s > {HOME}/tls.json", json.dumps(value))


def pair(host: Host, directory: str, name: str = "shop.test", first: int = -1, last: int = 60) -> None:
    host.check_output("python3 -c %s %s %s %s %s", MAKE_PAIR, directory, name, str(first), str(last))


def ensure(host: Host) -> dict[str, object]:
    return json.loads(host.check_output(f"{TOOL} --settings {HOME}/tls.json ensure"))


def test_the_acme_server_issued_what_is_served(host: Host) -> None:
    facts = json.loads(host.check_output(f"{TOOL} check"))
    assert "Pebble" in facts["issuer"]
    assert facts["names"] == [f"{host.check_output('hostname')}.pasargad.test"]
    assert not facts["selfsigned"]
    live = host.check_output("openssl x509 -noout -serial -in /etc/pasargad/tls/live/fullchain.pem")
    assert served_serial(host) == live


def test_the_key_is_for_root_alone(host: Host) -> None:
    assert host.file("/etc/pasargad/tls/live/privkey.pem").mode == 0o600


def test_the_timer_renews_and_debians_does_not(host: Host) -> None:
    timer = host.service("pasargad-tls.timer")
    assert timer.is_running
    assert timer.is_enabled
    assert not host.service("certbot.timer").is_enabled
    host.check_output("systemctl start pasargad-tls.service")


def test_renewal_reaches_the_shopper_even_if_the_server_forgot_the_account(host: Host) -> None:
    before = served_serial(host)
    outside(host, "systemctl restart pebble && sleep 1")
    answer = json.loads(host.check_output(f"{TOOL} ensure --force"))
    assert answer["changed"]
    for _ in range(20):
        if served_serial(host) != before:
            break
        host.check_output("sleep 0.2")
    assert served_serial(host) != before
    assert not json.loads(host.check_output(f"{TOOL} ensure"))["changed"]


def test_a_silent_acme_server_keeps_the_old_certificate_and_says_what_to_check(host: Host) -> None:
    live = host.check_output("readlink /etc/pasargad/tls/live")
    outside(host, "systemctl stop pebble")
    try:
        answer = host.run(f"{TOOL} ensure --force")
    finally:
        outside(host, "systemctl start pebble && sleep 1")
    assert answer.rc == 1
    assert "issued no certificate" in answer.stderr
    assert "pasargad_acme_directory_url" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert host.check_output("readlink /etc/pasargad/tls/live") == live


def test_challenges_are_answered_in_plain_http(host: Host) -> None:
    name = f"{host.check_output('hostname')}.pasargad.test"
    directory = "/var/lib/pasargad/acme/.well-known/acme-challenge"
    host.check_output(f"mkdir -p {directory} && echo proof > {directory}/mine")
    url = f"http://{name}/.well-known/acme-challenge"
    assert host.check_output(f"curl -s {url}/mine") == "proof"
    assert host.check_output(f"curl -s -o /dev/null -w '%{{http_code}}' {url}/another") == "404"


def test_selfsigned_is_made_once_and_again_for_other_names(host: Host) -> None:
    settings(host, "selfsigned", ["shop.test", "www.shop.test"])
    assert ensure(host)["changed"]
    assert not ensure(host)["changed"]
    again = json.loads(host.file(f"{HOME}/tls.json").content_string) | {"names": ["other.test"]}
    host.check_output(f"printf %%s %s > {HOME}/tls.json", json.dumps(again))
    assert ensure(host) == {"changed": True, "why": "it does not cover other.test"}


def test_selfsigned_is_replaced_before_it_ends(host: Host) -> None:
    settings(host, "selfsigned", ["shop.test"], selfsigned_days=20)
    assert ensure(host)["changed"]
    assert str(ensure(host)["why"]).startswith("it ends in 20 days")


def test_provided_files_become_live_together(host: Host) -> None:
    settings(host, "provided", ["shop.test"])
    pair(host, f"{HOME}/provided")
    assert ensure(host)["changed"]
    assert not ensure(host)["changed"]
    pair(host, f"{HOME}/provided")
    assert ensure(host)["changed"]
    assert host.file(f"{HOME}/live/fullchain.pem").content == host.file(f"{HOME}/provided/fullchain.pem").content
    assert host.file(f"{HOME}/live/privkey.pem").content == host.file(f"{HOME}/provided/privkey.pem").content


@pytest.mark.parametrize(
    ("name", "first", "last", "message"),
    [
        ("shop.test", -60, -1, "expired on"),
        ("shop.test", 2, 60, "valid from"),
        ("other.test", -1, 60, "does not cover shop.test (it covers other.test)"),
        ("*.other.test", -1, 60, "does not cover shop.test"),
    ],
)
def test_a_bad_provided_certificate_is_refused_in_words(
    host: Host, name: str, first: int, last: int, message: str
) -> None:
    settings(host, "provided", ["shop.test"])
    pair(host, f"{HOME}/provided")
    ensure(host)
    live = host.check_output(f"readlink {HOME}/live")
    pair(host, f"{HOME}/provided", name, first, last)
    answer = host.run(f"{TOOL} --settings {HOME}/tls.json ensure")
    assert answer.rc == 1
    assert message in answer.stderr
    assert "Traceback" not in answer.stderr
    assert host.check_output(f"readlink {HOME}/live") == live


def test_a_key_of_another_certificate_is_refused(host: Host) -> None:
    settings(host, "provided", ["shop.test"])
    pair(host, f"{HOME}/provided")
    pair(host, f"{HOME}/other")
    host.check_output(f"cp {HOME}/other/privkey.pem {HOME}/provided/privkey.pem")
    assert "does not belong to the certificate" in host.run(f"{TOOL} --settings {HOME}/tls.json ensure").stderr


def test_a_wildcard_covers_its_names(host: Host) -> None:
    settings(host, "provided", ["www.shop.test"])
    pair(host, f"{HOME}/provided", "*.shop.test")
    assert ensure(host)["changed"]


@pytest.mark.parametrize("text", ["", "not a certificate"])
def test_a_file_that_is_no_certificate_is_named(host: Host, text: str) -> None:
    settings(host, "provided", ["shop.test"])
    pair(host, f"{HOME}/provided")
    host.check_output(f"printf %%s %s > {HOME}/provided/fullchain.pem", text)
    assert "is not a PEM certificate" in host.run(f"{TOOL} --settings {HOME}/tls.json ensure").stderr
