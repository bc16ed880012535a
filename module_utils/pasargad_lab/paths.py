"""Where the lab keeps things on the control node."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DEFAULT_ROOT = Path("/var/lib/pasargad-lab")


@dataclass(frozen=True)
class LabPaths:
    """The lab's directory tree; one instance serves all labs of a machine."""

    root: Path = DEFAULT_ROOT

    @property
    def bases(self) -> Path:
        """Base trees, one per release and recipe."""
        return self.root / "base"

    @property
    def layers(self) -> Path:
        """Saved layers: what a host had on top of its base."""
        return self.root / "layers"

    @property
    def ssh(self) -> Path:
        """The key pair of the control node, the host key of all lab hosts, known_hosts."""
        return self.root / "ssh"

    def packages(self, release: str) -> Path:
        """Debian packages that any host of the release has downloaded."""
        return self.root / "packages" / release

    def lock(self, name: str) -> Path:
        """Lock file of a lab, a base tree or the keys."""
        return self.root / "locks" / name

    def lab(self, number: int) -> Path:
        """Everything that belongs to one lab."""
        return self.root / "labs" / str(number)

    def ca(self, number: int) -> Path:
        """The lab's certificate authority: ca.crt, ca.key."""
        return self.lab(number) / "ca"

    def host(self, number: int, host: str) -> Path:
        """A host's overlay (upper, work, root), state and console log."""
        return self.lab(number) / "hosts" / host
