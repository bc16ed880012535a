"""Runs other programs for the build and puts files in place."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import BuildError

LOG_LINES = 30
CHUNK = 1 << 20


def run(command: Sequence[str | Path], *, cwd: Path, what: str, hint: str, env: Mapping[str, str] | None = None) -> str:
    """Return what the command printed; a failure names `what` could not be done and keeps the last lines."""
    try:
        done = subprocess.run(
            [str(word) for word in command], cwd=cwd, env=dict(env) if env else None, capture_output=True, text=True
        )
    except OSError as error:
        raise BuildError(f"{what}: {command[0]}: {error.strerror}", hint=hint) from error
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).splitlines()
        raise BuildError(f"{what}: exit code {done.returncode}", hint=hint, log=lines[-LOG_LINES:])
    return done.stdout


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as source:
        while chunk := source.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def canonical(value: Any) -> bytes:
    """Return the one JSON text of a value, for digests."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest_of(value: Any) -> str:
    """Return the SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(canonical(value)).hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Put a JSON file in place by rename: a killed build leaves the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    temporary.replace(path)


def read_json(path: Path) -> Any:
    """Return a JSON file's value, or None where there is none or it is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
