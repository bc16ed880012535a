"""See pgbackrest's backups as the storage sees them: objects with sizes and versions, below the cluster's place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .config import PhysicalConfig
from .errors import BackupError, Code
from .manifest import Manifest, Part
from .objects import Objects, Stored, Tally
from .places import Place

FILES = "backup.manifest"
# Each names the sum of every file of the backup, so what is signed over them is signed over the files.
SUMMED = (FILES, f"{FILES}.copy")
Listing = Mapping[str, Stored]


def backups_at(place: Place, generation: str, stanza: str) -> str:
    """Return the prefix of a stanza's backups."""
    return f"{place.physical(generation)}backup/{stanza}/"


def set_at(place: Place, manifest: Manifest) -> str:
    """Return the prefix under which a physical set lies, an empty text for a logical one."""
    if manifest.physical is None:
        return ""
    (generation,) = manifest.crypto.recipients
    return f"{backups_at(place, generation, manifest.physical.stanza)}{manifest.physical.label}/"


def listing(objects: Objects, prefix: str) -> Listing:
    """Return the current objects below `prefix` by key, with their versions where the storage has some."""
    current = {stored.key: stored for stored in objects.list(prefix)}
    newest: dict[str, str] = {}
    for stored in objects.versions(prefix):
        newest.setdefault(stored.key, stored.version)
    # A bucket without versions calls the only one `null`, which does not change when the object does.
    versions = {key: "" if version == "null" else version for key, version in newest.items()}
    return {key: replace(stored, version=versions.get(key, "")) for key, stored in current.items()}


def refuse_elsewhere(objects: Objects, place: Place, physical: PhysicalConfig) -> None:
    """Raise CONFIG unless pgbackrest's repository lies in the storage at the cluster's own place."""
    if objects.head(f"{backups_at(place, physical.generation, physical.stanza)}backup.info") is None:
        where = place.physical(physical.generation).rstrip("/")
        raise BackupError(
            Code.CONFIG,
            f"pgbackrest's repository is not in the storage at {where}",
            hint=f"repo1-path in {physical.config_file} must be /PREFIX/{where} in the bucket, or DIRECTORY/{where}",
        )


def parts(objects: Objects, listed: Listing, prefix: str) -> tuple[Part, ...]:
    """Return what lies below a backup's prefix as the objects of a set; its own lists of files are read and summed."""
    found = []
    for key, stored in sorted(listed.items()):
        if key.startswith(prefix):
            role = key.removeprefix(prefix)
            sha256 = digest(objects, stored) if role in SUMMED else ""
            found.append(Part(key, role, stored.bytes, sha256, stored.version))
    return tuple(found)


def digest(objects: Objects, stored: Stored) -> str:
    """Return the SHA-256 of an object's bytes."""
    tally = Tally()
    for chunk in objects.read(stored.key, version=stored.version):
        tally.add(chunk)
    return tally.sha256
