"""Describe a release as its RELEASE.json does, and prove that the description and the parts belong together."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .files import read_json
from .outcome import Damaged

CONTRACT = "contract"


@dataclass(frozen=True)
class Part:
    """One file of an artefact."""

    name: str
    file: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Release:
    """A release: its id, where it came from, its parts and the migrations it carries."""

    release: str
    version: str
    commit: str
    parts: dict[str, Part]
    migrations: tuple[tuple[str, str, str], ...]
    raw: dict[str, Any]

    def deps_name(self, python_tag: str) -> str:
        """The directory that holds this release's dependencies for one Python."""
        return f"{self.parts[f'deps-{python_tag}'].sha256[:12]}-{python_tag}"

    def wanted_parts(self, python_tag: str) -> list[Part]:
        """The parts that a host with this Python needs."""
        if f"deps-{python_tag}" not in self.parts:
            raise Damaged(
                f"release {self.release} was not built for {python_tag}",
                hint="add the tag to app_build_python_tags and deploy again",
            )
        return [self.parts["code"], self.parts["static"], self.parts[f"deps-{python_tag}"]]


def release_id(values: dict[str, Any]) -> str:
    """Compute the id from the digests of all parts and the schema fingerprint, so that same input gives same id."""
    content = {
        "parts": {name: part["sha256"] for name, part in values["parts"].items()},
        "schema_fingerprint": values["schema_fingerprint"],
    }
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def parse_release(values: dict[str, Any]) -> Release:
    """Build a Release from the content of RELEASE.json; raises Damaged when its id does not follow from its digests."""
    try:
        parts = {
            name: Part(name, part["file"], part["sha256"], int(part["size"])) for name, part in values["parts"].items()
        }
        migrations = tuple((each["app"], each["name"], each["phase"]) for each in values["migrations"])
        found = Release(values["release"], values["version"], values["commit"], parts, migrations, values)
        computed = release_id(values)
    except (KeyError, TypeError, ValueError) as error:
        raise Damaged(
            f"RELEASE.json is not complete: {error!r}", hint="build again: rm -r .build/artifacts; deploy.yml"
        ) from error
    if computed != found.release:
        raise Damaged(
            f"RELEASE.json says {found.release} but its digests make {computed}",
            hint="build again: rm -r .build/artifacts; deploy.yml",
        )
    return found


def read_release(directory: Path) -> Release | None:
    """Read the release in a directory; None when there is none."""
    values = read_json(directory / "RELEASE.json")
    return parse_release(values) if values else None


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
