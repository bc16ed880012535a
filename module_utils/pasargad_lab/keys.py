"""Keys of the lab: SSH for the control node and its hosts, and one certificate authority per lab."""

from __future__ import annotations

from pathlib import Path

from .paths import LabPaths
from .shell import locked, run, write_atomically

# The lab's networks all lie in this range, and all its hosts share one host key: known_hosts never goes stale.
HOST_PATTERN = "10.231.*"


def ensure_ssh_keys(paths: LabPaths) -> None:
    """Make the control node's key, the hosts' key and known_hosts unless they exist."""
    with locked(paths.lock("keys")):
        paths.ssh.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in ("id_ed25519", "host_ed25519"):
            _ensure_key(paths.ssh / name)
        public = (paths.ssh / "host_ed25519.pub").read_text().split()
        write_atomically(paths.ssh / "known_hosts", f"{HOST_PATTERN} {public[0]} {public[1]}\n")


def _ensure_key(path: Path) -> None:
    if path.exists() and path.with_suffix(".pub").exists():
        return
    temporary = path.with_name(f"new_{path.name}")
    for stale in (temporary, temporary.with_suffix(".pub")):
        stale.unlink(missing_ok=True)
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "pasargad-lab", "-f", str(temporary)])
    temporary.with_suffix(".pub").replace(path.with_suffix(".pub"))
    temporary.replace(path)


def ensure_ca(paths: LabPaths, number: int) -> Path:
    """Return the directory of the lab's certificate authority, made unless it exists; call it with the lab locked."""
    directory = paths.ca(number)
    if (directory / "ca.crt").exists():
        return directory
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = directory / "new.crt"
    run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "3650", "-subj", f"/O=Pasargad Prints lab/CN=Pasargad lab {number} CA"),
            *("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"),
            *("-keyout", str(directory / "ca.key"), "-out", str(temporary)),
        ]
    )
    (directory / "ca.key").chmod(0o600)
    temporary.replace(directory / "ca.crt")
    return directory
