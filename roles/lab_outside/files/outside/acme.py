"""What the ACME server issued: pebble keeps no list, so its journal gives the serials, its management port the rest."""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

from cryptography import x509

_ISSUED = re.compile(r"Issued certificate serial ([0-9a-f]+)")


def issued(management_url: str, authority: Path, unit: str = "pebble.service") -> list[dict[str, Any]]:
    """Return the certificates issued since the server started, newest first."""
    journal = subprocess.run(
        ["journalctl", "--unit", unit, "--output", "cat", "--no-pager", "--boot"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    serials = dict.fromkeys(reversed(_ISSUED.findall(journal)))
    found = (status(management_url, authority, serial) for serial in list(serials)[:50])
    return [certificate for certificate in found if certificate]


def status(management_url: str, authority: Path, serial: str) -> dict[str, Any] | None:
    """Return one certificate, or None if the server has forgotten it in a restart."""
    context = ssl.create_default_context(cafile=str(authority))
    url = f"{management_url}/cert-status-by-serial/{serial}"
    try:
        with urllib.request.urlopen(url, context=context, timeout=5) as answer:  # noqa: S310 - the configured https address
            told = json.load(answer)
    except OSError:
        return None
    certificate = x509.load_pem_x509_certificate(told["Certificate"].encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {
        "serial": serial,
        "names": names.get_values_for_type(x509.DNSName),
        "not_before": certificate.not_valid_before.isoformat() + "Z",
        "not_after": certificate.not_valid_after.isoformat() + "Z",
        "status": told["Status"],
    }
