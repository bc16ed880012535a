#!/usr/bin/python3
"""Keep the certificate that the edge serves: `pasargad-tls ensure|bootstrap|check`.

The role's settings are in /etc/pasargad/tls/tls.json. `live` is a link to a set of two files, certificate and key, that
belong together: it is replaced by one rename(2), so the edge never loads half of a new pair. A set is checked (key,
dates, names) before it becomes live. `ensure` prints one JSON line; errors say what to do.
"""

from __future__ import annotations

import argparse
import datetime
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

SETTINGS = Path("/etc/pasargad/tls/tls.json")
CERTBOT_NAME = "pasargad"
CERTBOT_LOG = Path("/var/log/letsencrypt/letsencrypt.log")
SYSTEM_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
# A renewal may fail for a while (the server is down, a network hiccup) before it is worth stopping a deploy.
ALARM_DAYS = 7
PROVIDED = "you provided"


class TlsError(Exception):
    """What is wrong, and what to do about it."""


@dataclass(frozen=True)
class Settings:
    """The role's settings, as it wrote them."""

    mode: str
    names: list[str]
    live: Path
    directory_url: str
    email: str
    ca_path: str
    webroot: Path
    renew_before_days: int
    selfsigned_days: int

    @classmethod
    def read(cls, text: str) -> Settings:
        raw = json.loads(text)
        return cls(**{**raw, "live": Path(raw["live"]), "webroot": Path(raw["webroot"])})

    @property
    def home(self) -> Path:
        return self.live.parent


@dataclass(frozen=True)
class Certificate:
    """The facts about a pair that decide whether it may be served."""

    names: frozenset[str]
    issuer: str
    subject: str
    not_before: datetime.datetime
    not_after: datetime.datetime
    selfsigned: bool

    @property
    def days_left(self) -> float:
        return (self.not_after - utc_now()).total_seconds() / 86400

    def missing(self, names: list[str]) -> list[str]:
        return [name for name in names if name not in self.names and "*." + name.partition(".")[2] not in self.names]


def utc_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def load(fullchain: Path, privkey: Path) -> Certificate:
    """Read a pair; raises TlsError if a file is missing, unreadable, or the key belongs to another certificate."""
    for path in (fullchain, privkey):
        if not path.is_file():
            raise TlsError(f"{path} does not exist")
    try:
        certificate = x509.load_pem_x509_certificate(fullchain.read_bytes())
    except ValueError as error:
        raise TlsError(
            f"{fullchain} is not a PEM certificate ({error}): the server's own certificate must come first"
        ) from error
    try:
        key = serialization.load_pem_private_key(privkey.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise TlsError(f"{privkey} is not an unencrypted PEM private key ({error})") from error
    encoding = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*encoding) != certificate.public_key().public_bytes(*encoding):
        raise TlsError(
            f"the key {privkey} does not belong to the certificate {fullchain}: give the key it was requested with"
        )
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = frozenset(alternative.get_values_for_type(x509.DNSName))
    except x509.ExtensionNotFound:
        names = frozenset()
    return Certificate(
        names=names,
        issuer=certificate.issuer.rfc4514_string(),
        subject=certificate.subject.rfc4514_string(),
        not_before=moment(certificate, "not_valid_before"),
        not_after=moment(certificate, "not_valid_after"),
        selfsigned=certificate.issuer == certificate.subject,
    )


def moment(certificate: x509.Certificate, attribute: str) -> datetime.datetime:
    """Read a date in UTC; Debian 13's library deprecates the naive attribute that Debian 12's alone has."""
    aware = getattr(certificate, f"{attribute}_utc", None)
    return aware or getattr(certificate, attribute).replace(tzinfo=datetime.UTC)


def validate(certificate: Certificate, names: list[str], origin: str) -> None:
    """Raise TlsError unless the certificate may be served for the names today."""
    if certificate.days_left <= 0:
        raise TlsError(
            f"the certificate {origin} expired on {certificate.not_after:%Y-%m-%d %H:%M} UTC: replace it"
            + (" (tls_provided_fullchain_path, tls_provided_privkey_path)" if origin == PROVIDED else "")
        )
    if certificate.not_before > utc_now() + datetime.timedelta(minutes=5):
        raise TlsError(
            f"the certificate {origin} is valid from {certificate.not_before:%Y-%m-%d %H:%M} UTC: check the clock"
        )
    missing = certificate.missing(names)
    if missing:
        have = ", ".join(sorted(certificate.names)) or "no name"
        raise TlsError(
            f"the certificate {origin} does not cover {', '.join(missing)} (it covers {have}): "
            "request it for these names, or correct pasargad_domain and pasargad_domain_aliases"
        )


def live_certificate(settings: Settings) -> Certificate | None:
    """Return what is live, or None if there is nothing usable."""
    try:
        return load(settings.live / "fullchain.pem", settings.live / "privkey.pem")
    except TlsError:
        return None


def set_of(settings: Settings, fullchain: Path, privkey: Path) -> Path:
    """Return the directory in which a pair is kept, named after its content."""
    digest = hashlib.sha256(fullchain.read_bytes() + privkey.read_bytes()).hexdigest()[:16]
    return settings.home / "sets" / digest


def is_live(settings: Settings, target: Path) -> bool:
    return settings.live.is_symlink() and settings.live.resolve() == target.resolve() and target.is_dir()


def make_live(settings: Settings, fullchain: Path, privkey: Path, origin: str) -> bool:
    """Check a pair and make it the live one; return whether anything changed. The edge is reloaded if it runs."""
    validate(load(fullchain, privkey), settings.names, origin)
    target = set_of(settings, fullchain, privkey)
    if is_live(settings, target):
        return False
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    for source, name, mode in ((fullchain, "fullchain.pem", 0o644), (privkey, "privkey.pem", 0o600)):
        temporary = target / f".{name}"
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(source.read_bytes())
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(target / name)
    previous = str(settings.live.readlink()) if settings.live.is_symlink() else None
    point_live(settings, os.path.relpath(target, settings.home))
    try:
        reload_edge()
    except TlsError:
        if previous:
            point_live(settings, previous)
        raise
    for old in (settings.home / "sets").iterdir():
        if old != target and (previous is None or old.name != Path(previous).name):
            shutil.rmtree(old)
    return True


def point_live(settings: Settings, target: str) -> None:
    temporary = settings.home / ".live"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.rename(settings.live)


def reload_edge() -> None:
    """Test the edge's configuration with the new pair and reload it, if it runs and uses the pair."""
    if run("systemctl", "-q", "is-active", "nginx").returncode != 0:
        return
    test = run("nginx", "-t", "-q")
    if test.returncode != 0:
        raise TlsError(f"nginx refuses the new certificate, so the old one stays: {test.stderr.strip()}")
    run("systemctl", "reload", "nginx").check_returncode()


def run(*command: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **(env or {})})


def selfsign(settings: Settings, days: int) -> bool:
    """Make a self-signed pair live."""
    with tempfile.TemporaryDirectory(dir=settings.home) as scratch:
        fullchain, privkey = Path(scratch, "fullchain.pem"), Path(scratch, "privkey.pem")
        names = ",".join(f"DNS:{name}" for name in settings.names)
        made = run(
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-days", str(days),
            "-subj", f"/CN={settings.names[0]}", "-addext", f"subjectAltName={names}",
            "-keyout", str(privkey), "-out", str(fullchain),
        )  # fmt: skip
        if made.returncode != 0:
            raise TlsError(f"openssl made no certificate: {made.stderr.strip()}")
        return make_live(settings, fullchain, privkey, "made on this host")


def due(settings: Settings, certificate: Certificate | None) -> str | None:
    """Say why a new certificate is due, or None."""
    if certificate is None:
        return "there is none"
    if certificate.missing(settings.names):
        return f"it does not cover {', '.join(certificate.missing(settings.names))}"
    if certificate.days_left <= settings.renew_before_days:
        return f"it ends in {certificate.days_left:.0f} days"
    return None


@dataclass(frozen=True)
class Attempt:
    """One run of certbot: whether it worked, what it printed, what it wrote to its log meanwhile."""

    worked: bool
    printed: str
    log: str

    @property
    def account_forgotten(self) -> bool:
        """The log is asked, because Debian 12's certbot stumbles over this very error while it prints it."""
        return "accountDoesNotExist" in self.log or "unable to find existing account" in self.log

    @property
    def last_words(self) -> str:
        noise = ("Saving debug log", "Ask for help")
        lines = [line for line in self.printed.splitlines() if line.strip() and not line.startswith(noise)]
        lines += [line for line in self.log.splitlines() if line.startswith("acme.messages.Error")][-1:]
        return "\n".join(lines[-8:])


def issue(settings: Settings) -> bool:
    """Obtain a pair by ACME through the edge's webroot and make it live."""
    lineage = Path("/etc/letsencrypt/live") / CERTBOT_NAME
    attempt = certbot(settings)
    if not attempt.worked and attempt.account_forgotten:
        # The server lost its accounts (a test server after a restart, or one that was rebuilt): register anew.
        forget_account(settings)
        attempt = certbot(settings)
    if not attempt.worked:
        raise TlsError(
            f"{settings.directory_url} issued no certificate for {', '.join(settings.names)}.\n{attempt.last_words}\n"
            "Check that each name leads to this host, that port 80 is open, and pasargad_acme_directory_url, "
            f"pasargad_acme_email and pasargad_acme_ca_path. Everything else: {CERTBOT_LOG}"
        )
    return make_live(settings, lineage / "fullchain.pem", lineage / "privkey.pem", f"from {settings.directory_url}")


def certbot(settings: Settings) -> Attempt:
    command = [
        "certbot", "certonly", "--non-interactive", "--agree-tos", "--webroot", "--webroot-path", str(settings.webroot),
        "--server", settings.directory_url, "--email", settings.email, "--no-eff-email", "--cert-name", CERTBOT_NAME,
        "--key-type", "ecdsa", "--force-renewal", "--renew-with-new-domains", "--max-log-backups", "0",
    ]  # fmt: skip
    for name in settings.names:
        command += ["--domain", name]
    start = CERTBOT_LOG.stat().st_size if CERTBOT_LOG.exists() else 0
    outcome = run(*command, env=authorities(settings))
    log = CERTBOT_LOG.read_bytes()[start:].decode(errors="replace") if CERTBOT_LOG.exists() else ""
    return Attempt(outcome.returncode == 0, outcome.stdout + outcome.stderr, log)


def authorities(settings: Settings) -> dict[str, str]:
    """Return the environment that makes certbot trust the extra authorities beside the system's."""
    if not settings.ca_path:
        return {}
    extra = Path(settings.ca_path)
    if not extra.is_file():
        raise TlsError(f"{extra} does not exist on this host: put the authority there, or empty pasargad_acme_ca_path")
    bundle = settings.home / "acme-authorities.pem"
    bundle.write_bytes(SYSTEM_AUTHORITIES.read_bytes() + b"\n" + extra.read_bytes())
    return {"REQUESTS_CA_BUNDLE": str(bundle)}


def forget_account(settings: Settings) -> None:
    host = settings.directory_url.split("://", 1)[-1].split("/", 1)[0]
    for accounts in Path("/etc/letsencrypt/accounts").glob(f"{host}*"):
        shutil.rmtree(accounts)


def wanting(settings: Settings, current: Certificate | None) -> str:
    """Say why `ensure` would put another pair in place of the live one; empty if it would not."""
    reason = due(settings, current)
    if reason or current is None:
        return reason or ""
    if settings.mode == "acme" and current.selfsigned:
        return "it is self-signed"
    if settings.mode == "selfsigned" and not current.selfsigned:
        return "it comes from somewhere else"
    return ""


def needs_bootstrap(settings: Settings) -> bool:
    current = live_certificate(settings)
    return current is None or bool(current.missing(settings.names)) or current.days_left <= 0


def foretell(settings: Settings, verb: str) -> dict[str, object]:
    """Say what `ensure` or `bootstrap` would change; touches nothing, and needs no directory of ours."""
    if verb == "bootstrap":
        return {"changed": needs_bootstrap(settings), "why": ""}
    if settings.mode == "provided":
        pair = [settings.home / "provided" / name for name in ("fullchain.pem", "privkey.pem")]
        # Files that are not there yet are about to be brought.
        return {
            "changed": not all(map(Path.is_file, pair)) or not is_live(settings, set_of(settings, *pair)),
            "why": "",
        }
    reason = wanting(settings, live_certificate(settings))
    return {"changed": bool(reason), "why": reason}


def ensure(settings: Settings, *, force: bool) -> dict[str, object]:
    """Make sure that a good pair is live, by the means of the mode."""
    current = live_certificate(settings)
    if settings.mode == "provided":
        source = settings.home / "provided"
        changed = make_live(settings, source / "fullchain.pem", source / "privkey.pem", PROVIDED)
        return {"changed": changed, "why": "the provided files differ" if changed else ""}
    reason = "asked for" if force else wanting(settings, current)
    if not reason:
        return {"changed": False, "why": ""}
    if settings.mode == "selfsigned":
        return {"changed": selfsign(settings, settings.selfsigned_days), "why": reason}
    try:
        return {"changed": issue(settings), "why": reason}
    except TlsError as error:
        trusted = current is not None and not current.selfsigned and not current.missing(settings.names)
        if trusted and current is not None and current.days_left > ALARM_DAYS and not force:
            return {"changed": False, "why": reason, "warning": str(error)}
        raise


def bootstrap(settings: Settings) -> dict[str, object]:
    """Make sure that some pair is live, so that the edge can start and answer the ACME challenge."""
    if not needs_bootstrap(settings):
        return {"changed": False, "why": ""}
    return {"changed": selfsign(settings, 30), "why": "the edge needs one until the ACME server has answered"}


def check(settings: Settings, provided: tuple[Path, Path] | None) -> dict[str, object]:
    """Read what is live, or the provided certificate and key; raises TlsError if it may not be served."""
    certificate = load(*(provided or (settings.live / "fullchain.pem", settings.live / "privkey.pem")))
    validate(certificate, settings.names, PROVIDED if provided else str(settings.live))
    return {
        "issuer": certificate.issuer,
        "names": sorted(certificate.names),
        "not_after": certificate.not_after.isoformat(),
        "days_left": round(certificate.days_left, 1),
        "selfsigned": certificate.selfsigned,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("verb", choices=("ensure", "bootstrap", "check"))
    parser.add_argument("--force", action="store_true", help="renew although nothing is due")
    parser.add_argument("--settings", type=Path, default=SETTINGS)
    parser.add_argument("--settings-text", default="", help="settings that are not written yet, instead of the file")
    parser.add_argument("--dry-run", action="store_true", help="say what would change, and change nothing")
    parser.add_argument(
        "--provided", type=Path, nargs=2, metavar=("CERTIFICATE", "KEY"), help="check these files, not what is live"
    )
    options = parser.parse_args()
    try:
        settings = Settings.read(options.settings_text or options.settings.read_text())
        if options.verb == "check":
            answer = check(settings, options.provided)
        elif options.dry_run:
            answer = foretell(settings, options.verb)
        else:
            with (settings.home / ".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                answer = bootstrap(settings) if options.verb == "bootstrap" else ensure(settings, force=options.force)
    except TlsError as error:
        print(f"pasargad-tls: {error}", file=sys.stderr)
        return 1
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
