"""Base trees: one bare Debian per release, built once and shared read-only by every host."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from .errors import LabError
from .paths import LabPaths
from .shell import locked, require_tools, run

PACKAGES = (
    "ca-certificates",
    "dbus",
    "iproute2",
    "libpam-systemd",
    "nftables",
    "openssh-server",
    "procps",
    "python3",
    "python3-apt",
    "systemd",
    "systemd-sysv",
    "zstd",
)
# Shell lines run with $1 as the tree. Hosts make no noise of their own; a lost tree costs nothing, so dpkg skips fsync.
CUSTOMISATION = (
    'rm -f "$1"/etc/ssh/ssh_host_*_key* "$1"/etc/hostname "$1"/etc/resolv.conf',
    ': >"$1"/etc/machine-id',
    'chroot "$1" systemctl --quiet enable systemd-networkd.service',
    'chroot "$1" systemctl --quiet disable apt-daily.timer apt-daily-upgrade.timer',
    'chroot "$1" systemctl --quiet mask systemd-networkd-wait-online.service',
    'echo force-unsafe-io >"$1"/etc/dpkg/dpkg.cfg.d/pasargad-lab',
)


def base_name(release: str) -> str:
    """Directory name of a release's base tree; it changes with the recipe."""
    recipe = json.dumps([release, PACKAGES, CUSTOMISATION]).encode()
    return f"{release}-{hashlib.sha256(recipe).hexdigest()[:12]}"


def base_argv(release: str, target: Path) -> list[str]:
    """The command that builds a base tree; it names no mirror because the default is right."""
    hooks = [f"--customize-hook={line}" for line in CUSTOMISATION]
    return [
        "mmdebstrap",
        "--quiet",
        "--variant=minbase",
        "--skip=cleanup/apt/lists",
        f"--include={','.join(PACKAGES)}",
        *hooks,
        release,
        str(target),
    ]


def ensure_base(paths: LabPaths, release: str, say: Callable[[str], None]) -> tuple[Path, bool]:
    """Return the base tree of a release and whether it had to be built; parallel callers wait for one build."""
    tree = paths.bases / base_name(release)
    if tree.is_dir():
        return tree, False
    require_tools(["mmdebstrap"])
    with locked(paths.lock(f"base-{release}")):
        if tree.is_dir():
            return tree, False
        _remove_leftovers(paths, release)
        say(f"building the base tree of {release} (once; about a minute)")
        started = time.monotonic()
        temporary = paths.bases / f"{tree.name}.tmp"
        temporary.mkdir(parents=True)
        # mmdebstrap refuses a world it cannot mount in a private namespace; as root it makes its own.
        run(base_argv(release, temporary))
        if not (temporary / "usr/sbin/sshd").exists():
            raise LabError(f"mmdebstrap left no complete {release} tree in {temporary}.", hint="Run it again.")
        os.sync()
        temporary.rename(tree)
        say(f"base tree of {release} ready after {time.monotonic() - started:.0f} s")
    return tree, True


def _remove_leftovers(paths: LabPaths, release: str) -> None:
    """Remove half-built trees of a release; the caller holds its lock, so nobody is building them."""
    for path in paths.bases.glob(f"{release}-*.tmp"):
        shutil.rmtree(path)
