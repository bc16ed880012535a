"""The fingerprint of what provisions a host: digests of files and values by source, so that a difference has a name."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

ROOMS = (
    *("roles", "templates", "library", "module_utils", "filter_plugins", "action_plugins", "group_vars"),
    *("monitoring", "playbooks/deploy.yml", "requirements.yml"),
)
# Rooms in which each entry is a source of its own.
SPLIT = {"roles", "module_utils", "group_vars"}
# None of these reaches a host while it is provisioned.
IGNORED_DIRECTORIES = {"__pycache__", "molecule", "tests", ".git"}
IGNORED_FILES = {"README.md"}
DIGEST_LENGTH = 16
SECRETS = "secrets"
# Files of the control node, outside of the repository, that are brought to the hosts.
NAMES_A_FILE = re.compile(r"tls_provided_\w+_path")
MOST_NAMES = 4


def files_by_source(root: Path, ignored: Iterable[str]) -> dict[str, str]:
    """Return a digest for each source of files, for example roles/postgres; ignored sources are left out."""
    digests = {}
    skipped = set(ignored)
    for room in ROOMS:
        path = root / room
        entries = sorted(path.iterdir()) if room in SPLIT and path.is_dir() else [path]
        for entry in entries:
            source = entry.relative_to(root).as_posix()
            if source not in skipped and entry.exists() and entry.name not in IGNORED_DIRECTORIES:
                digests[source] = _digest_below(entry)
    return digests


def _digest_below(entry: Path) -> str:
    digest = hashlib.sha256()
    for path in _files(entry):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(
            f"{path.relative_to(entry.parent).as_posix()}\0{path.stat().st_mode & 0o111}\0{content}\n".encode()
        )
    return digest.hexdigest()[:DIGEST_LENGTH]


def _files(entry: Path) -> list[Path]:
    """Return the files below an entry; a linked directory is somebody else's room and not walked into."""
    if entry.is_file():
        return [] if entry.name in IGNORED_FILES else [entry]
    found: list[Path] = []
    if entry.is_symlink():
        return found
    for child in sorted(entry.iterdir()):
        if child.name not in IGNORED_DIRECTORIES and child.suffix != ".pyc":
            found += _files(child)
    return found


def values_by_source(values: Mapping[str, Any], is_secret: Callable[[str], bool], root: Path) -> dict[str, str]:
    """Return a digest for each value; all secrets share one, so that none can be guessed by its digest alone.

    Where the repository lies is left out: a colleague's clone provisions the same.
    """
    digests = {name: _digest(value, root) for name, value in values.items() if not is_secret(name)}
    digests[SECRETS] = _digest({name: value for name, value in values.items() if is_secret(name)}, root)
    return digests


def contents_by_source(values: Mapping[str, Any], root: Path) -> dict[str, str]:
    """Return a digest for the content of each file that a value only names: it may change at the same path."""
    named = {name: str(value) for name, value in values.items() if NAMES_A_FILE.fullmatch(name) and value}
    return {f"{name} (content)": _digest_of_file(path, root) for name, path in named.items()}


def _digest_of_file(named: str, root: Path) -> str:
    place = root / Path(named).expanduser()
    # The role that wants a missing file refuses in words of its own.
    return hashlib.sha256(place.read_bytes()).hexdigest()[:DIGEST_LENGTH] if place.is_file() else "missing"


def _digest(value: Any, root: Path) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.replace(str(root), "").encode()).hexdigest()[:DIGEST_LENGTH]


def fingerprint(sources: Mapping[str, str]) -> str:
    """Return the one digest of all sources."""
    return hashlib.sha256(json.dumps(sources, sort_keys=True).encode()).hexdigest()


def difference(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Name what differs between two fingerprints, shortened to a line."""
    names = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    shown = ", ".join(names[:MOST_NAMES])
    return f"{shown} and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else shown
