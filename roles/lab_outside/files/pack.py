"""Packs the outside world's code, and moto with what it needs, into archives named after the digest of their input.

Runs on the control node; prints a JSON list of {name, digest, path, marker}. What was packed before is reused.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

# The Python of Debian 12, which the host `outside` runs.
HOST_PYTHON = "3.11"


def main() -> int:
    """Pack both archives."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path, required=True)
    repository = parser.parse_args().repository
    package = Path(__file__).parent / "outside"
    lock, uv = repository / "requirements/outside.txt", repository / ".cache/uv/bin/uv"
    if not uv.exists():
        sys.stderr.write(f"{uv} is missing; mend it with: make setup\n")
        return 1
    sources = sorted(path for path in package.rglob("*") if path.suffix in (".py", ".css"))
    packs = [
        pack(repository, "code", digest_of(package, sources), "outside", lambda tree: copy(package, sources, tree)),
        pack(repository, "s3", digest_of(lock.parent, [lock]), "moto", lambda tree: install(uv, lock, tree)),
    ]
    sys.stdout.write(json.dumps(packs) + "\n")
    return 0


def digest_of(base: Path, files: list[Path]) -> str:
    """Return the first 12 digits of a digest over names and contents."""
    sums = [f"{path.relative_to(base)} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files]
    return hashlib.sha256("\n".join([HOST_PYTHON, *sums]).encode()).hexdigest()[:12]


def pack(repository: Path, name: str, digest: str, marker: str, fill: Callable[[Path], None]) -> dict[str, str]:
    """Return the description of an archive, made by `fill` unless it is there already."""
    archive = repository / ".build/outside" / f"{name}-{digest}.tar.zst"
    if not archive.exists():
        archive.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=archive.parent) as scratch:
            tree, unfinished = Path(scratch) / "tree", Path(scratch) / archive.name
            tree.mkdir()
            fill(tree)
            options = ["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0", "--zstd"]
            subprocess.run(["tar", *options, "-cf", unfinished, "-C", tree, "."], check=True)
            unfinished.rename(archive)
    return {"name": name, "digest": digest, "path": str(archive), "marker": marker}


def copy(package: Path, files: list[Path], tree: Path) -> None:
    """Copy the package's sources, readable for everybody."""
    for path in files:
        target = tree / package.name / path.relative_to(package)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
        target.chmod(0o644)


def install(uv: Path, lock: Path, tree: Path) -> None:
    """Install the locked packages for the host's Python."""
    target = ["--target", tree, "--python-version", HOST_PYTHON, "--only-binary", ":all:"]
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--no-config", "--require-hashes", *target, "-r", lock],
        check=True,
        stdout=sys.stderr,
    )


if __name__ == "__main__":
    sys.exit(main())
