"""The lab's only door to other programs and to the process table."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from .errors import LabError

# Which Debian package holds each tool that the lab calls.
PACKAGES = {
    "ip": "iproute2",
    "ss": "iproute2",
    "mmdebstrap": "mmdebstrap",
    "mount": "mount",
    "nft": "nftables",
    "nsenter": "util-linux",
    "openssl": "openssl",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "systemd-nspawn": "systemd-container",
}


def require_tools(names: Sequence[str] = tuple(PACKAGES)) -> None:
    """Raise LabError naming every missing tool and the one command that installs them."""
    missing = [name for name in names if tool_path(name) is None]
    if missing:
        packages = " ".join(sorted({PACKAGES[name] for name in missing}))
        raise LabError(f"Missing on this machine: {', '.join(missing)}.", hint=f"Run: apt-get install {packages}")


def tool_path(name: str) -> str | None:
    """Return where a tool lies; the administrator's directories count even if PATH lacks them."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/bin:/bin")


def run(argv: Sequence[str], *, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a program and return its result; a failure becomes a LabError with the program's last words."""
    command = [tool_path(argv[0]) or argv[0], *argv[1:]]
    result = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if check and result.returncode != 0:
        words = (result.stderr or result.stdout).strip().splitlines()[-5:]
        raise LabError(f"`{' '.join(argv)}` ended with {result.returncode}: {' | '.join(words)}")
    return result


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive flock on `path`; the kernel frees it however the holder ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def wait_until(condition: Callable[[], bool], seconds: float, *, pause: float = 0.1) -> bool:
    """Poll until `condition` holds; False when the time is over."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


def write_atomically(path: Path, text: str, *, mode: int = 0o644) -> bool:
    """Write `text` unless the file holds it already; True when something changed."""
    if path.is_file() and not path.is_symlink() and path.read_text() == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text)
    temporary.chmod(mode)
    temporary.replace(path)
    return True
