"""Hold what a phase is asked to do and what all phases of one deploy share on a host."""

from __future__ import annotations

import dataclasses
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from . import edge_log
from .artefact import Release
from .config import ReleaseConfig
from .env_file import parse
from .files import read_json, write_json
from .journal import Journal
from .masking import secret_values
from .outcome import Refused
from .state import Content

# What the shop takes for yes (app/config/env.py).
TRUE_WORDS = ("true", "1", "yes", "on")


@dataclass(frozen=True)
class ReleaseRequest:
    """What one phase is asked to do.

    `release` is the content of RELEASE.json; `env` the digest of the environment (empty: the newest on the host);
    `owner` who deploys; `living` the controller's processes as `pid.started`; `fencing` the first host's number for
    the others.
    """

    phase: str
    release: dict[str, Any]
    deploy_id: str = ""
    env: str = ""
    owner: dict[str, Any] = dataclasses.field(default_factory=dict)
    living: tuple[str, ...] = ()
    fencing: int | None = None
    allow_contract: bool = False
    force: bool = False


@dataclass(frozen=True)
class Work:
    """What every phase needs: the host's config, what is asked, the release, the target and the journal."""

    config: ReleaseConfig
    request: ReleaseRequest
    release: Release
    target: Content
    journal: Journal

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values that must not be shown."""
        return secret_values(self.config, self.target.env)


def closes_the_shop(config: ReleaseConfig, env: str) -> bool:
    """Tell whether an environment closes the shop on purpose, so that its pages answer 503."""
    settings = parse((config.env_dir / f"{env}.env").read_text())
    return settings.get("FEATURE_MAINTENANCE", "").lower() in TRUE_WORDS


def newest_env(config: ReleaseConfig) -> str:
    """Return the digest of the newest environment on this host."""
    try:
        return (config.env_dir / "current").readlink().name.removesuffix(".env")
    except FileNotFoundError as error:
        raise Refused("this host has no environment", hint="run deploy.yml -e pasargad_converge=full") from error


def new_deploy_id() -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()) + "-" + secrets.token_hex(2)


@dataclass(frozen=True)
class Notes:
    """What a deploy writes down at its beginning for its own later phases: where the edge's log stood, what was
    normal, warm pages.
    """

    deploy: str = ""
    began: float = 0.0
    position: edge_log.Position = field(default_factory=lambda: edge_log.Position(0, 0))
    switched: edge_log.Position = field(default_factory=lambda: edge_log.Position(0, 0))
    normal: edge_log.Count = field(default_factory=edge_log.Count)
    paths: tuple[str, ...] = ()

    def served(self, config: ReleaseConfig) -> edge_log.Count:
        """Count what the edge has seen since the deploy began."""
        return (
            edge_log.count(edge_log.lines_since(config.access_log, self.position)) if self.deploy else edge_log.Count()
        )


def begin_notes(config: ReleaseConfig, deploy_id: str) -> Notes:
    """Start the notes of a deploy."""
    position, normal = edge_log.end_of(config.access_log), edge_log.baseline(config.access_log)
    return write_notes(config, Notes(deploy_id, time.time(), position, position, normal))


def write_notes(config: ReleaseConfig, notes: Notes) -> Notes:
    write_json(config.state_dir / "deploy.json", dataclasses.asdict(notes))
    return notes


def read_notes(config: ReleaseConfig, deploy_id: str) -> Notes:
    """Return the deploy's notes; empty ones when they are missing or another deploy's."""
    try:
        values = read_json(config.state_dir / "deploy.json") or {}
        if values.get("deploy") != deploy_id:
            return Notes()
        position, switched = edge_log.Position(**values["position"]), edge_log.Position(**values["switched"])
        normal, paths = edge_log.Count(**values["normal"]), tuple(values["paths"])
        return Notes(deploy_id, values["began"], position, switched, normal, paths)
    except (ValueError, KeyError, TypeError):
        return Notes()
