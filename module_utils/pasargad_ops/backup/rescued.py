"""Say which version of an object is the one that was committed, after it was brought back by a copy.

A copy is a new version, and a manifest names the old one. The host signs what it copied, so that the walk tells its
own copies from those of somebody who replaced an object.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .errors import BackupError, Code
from .manifest import SCHEMA, Manifest, refuse_other_schema
from .objects import Objects
from .places import Place
from .records import from_record, to_record
from .signatures import Signer, Trusted, seal, unseal

RESCUED = "rescued"
# Key and version that was current, to the version that was made of it.
Moves = Mapping[tuple[str, str], str]


@dataclass(frozen=True)
class Moved:
    """An object whose version `then` was copied over what somebody made of it; `now` is the copy's version."""

    key: str
    then: str
    now: str


@dataclass(frozen=True)
class Rescued:
    """What one step of a rescue brought back."""

    env: str
    system_id: str
    at_ms: int
    moved: tuple[Moved, ...]
    schema: int = SCHEMA


def write_rescued(objects: Objects, place: Place, moved: Sequence[Moved], signer: Signer) -> None:
    """Sign and store what was copied, under a key that sorts by time."""
    at_ms = int(objects.now().timestamp() * 1000)
    record = Rescued(place.env, place.system_id, at_ms, tuple(moved))
    number = 1 + sum(1 for _ in objects.list(place.rescued))
    objects.put(f"{place.rescued}{number:06d}-{at_ms}.json", seal(RESCUED, to_record(record), [signer]), once=True)


def read_rescued(objects: Objects, place: Place, key: str, trusted: Trusted) -> Rescued:
    """Read one record; raises BackupError: INTEGRITY forged, KEY unknown signer, CHAIN of another cluster."""
    body = unseal(RESCUED, objects.get(key), trusted, key)
    refuse_other_schema(body, key)
    found = from_record(Rescued, body, key)
    if (found.env, found.system_id) != (place.env, place.system_id):
        raise BackupError(
            Code.CHAIN,
            f"{key} is of cluster {found.system_id}",
            hint="hide it: somebody copied it here",
            details={"system_id": found.system_id},
        )
    return found


def add_moves(moves: dict[tuple[str, str], str], found: Rescued) -> None:
    """Take a record into account; later ones are added later and win."""
    moves.update({(one.key, one.then): one.now for one in found.moved})


def version_now(moves: Moves, key: str, version: str) -> str:
    """Return under which version the content of `version` lies now."""
    seen = {version}
    while (following := moves.get((key, version))) is not None and following not in seen:
        version = following
        seen.add(version)
    return version


def as_rescued(manifest: Manifest, moves: Moves) -> Manifest:
    """Return the manifest with the versions under which its objects lie now."""
    if not moves:
        return manifest
    parts = tuple(
        dataclasses.replace(part, version=version_now(moves, part.key, part.version)) for part in manifest.objects
    )
    return dataclasses.replace(manifest, objects=parts)
