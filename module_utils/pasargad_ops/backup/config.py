"""Hold what the backup jobs must know about a host; rendered once, read by the module, the timers and people alike."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..files import read_json
from .errors import BackupError, Code
from .objects import Storage
from .retention import Policy

CONFIG_FILE = Path("/etc/pasargad/backup/backup.json")
CONVERGE = "run deploy.yml -e pasargad_converge=full"
MEND = "mend roles/backup/templates/backup.json.j2 or the variable it takes this from, then " + CONVERGE


@dataclass(frozen=True)
class ClusterConfig:
    """The cluster and its database; jobs log in as `role` through the socket, where the server knows root as it."""

    database: str
    version: int
    data_dir: Path
    system_id: str
    cluster: str = "main"
    bin_dir: Path = Path("/usr/bin")
    config_dir: Path = Path("/etc/postgresql")
    service: str = "postgresql.service"
    socket_dir: Path = Path("/run/postgresql")
    port: int = 5432
    role: str = "pasargad_backup"
    user: str = "postgres"


@dataclass(frozen=True)
class PhysicalConfig:
    """The stanza; the passphrase and the storage's keys stand in `config_file` alone. `generation` is the key's."""

    stanza: str = "main"
    config_file: Path = Path("/etc/pgbackrest.conf")
    generation: str = "g1"
    lock_dir: Path = Path("/run/pasargad-backup/pgbackrest")
    log_dir: Path = Path("/var/log/pgbackrest")


@dataclass(frozen=True)
class MailConfig:
    """The relay for notices; none without recipients."""

    host: str = ""
    port: int = 587
    sender: str = ""
    recipients: tuple[str, ...] = ()
    starttls: bool = True
    user: str = ""
    password_file: Path | None = None
    ca_file: Path | None = None


@dataclass(frozen=True)
class Retain:
    """For how many days Object Lock keeps what is written, by tier; 0 leaves it to the bucket's own default."""

    daily: int = 0
    weekly: int = 0
    monthly: int = 0


@dataclass(frozen=True)
class Bounds:
    """What a drill must keep to, and after how long a silent job counts as dead; seconds."""

    rpo_seconds: int = 120
    rto_seconds: int = 1800
    job_seconds: int = 6 * 3600
    wal_silence_seconds: int = 300


@dataclass(frozen=True)
class BackupConfig:
    """Everything of one host; `identity_file` opens logical sets and is only there on hosts that drill them."""

    env: str
    host: str
    storage: Storage
    cluster: ClusterConfig
    trusted_keys: tuple[str, ...]
    physical: PhysicalConfig = field(default_factory=PhysicalConfig)
    mail: MailConfig = field(default_factory=MailConfig)
    slack_webhook_file: Path | None = None
    policy: Policy = field(default_factory=Policy)
    bounds: Bounds = field(default_factory=Bounds)
    retain: Retain = field(default_factory=Retain)
    recipients_file: Path = Path("/etc/pasargad/backup/recipients")
    signing_key_file: Path = Path("/etc/pasargad/backup/signing.pem")
    identity_file: Path | None = None
    settings_paths: tuple[Path, ...] = ()
    media_paths: tuple[Path, ...] = ()
    state_dir: Path = Path("/var/lib/pasargad/backup")
    scratch_dir: Path = Path("/var/lib/pasargad-drill")
    metrics_dir: Path = Path("/var/lib/pasargad/metrics")
    run_dir: Path = Path("/run/pasargad-backup")
    quiesce_file: Path = Path("/run/pasargad/quiesce")
    release_config: Path = Path("/etc/pasargad/ops/release.json")
    file: Path = CONFIG_FILE

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> BackupConfig:
        """Build a config, refusing names it does not know, missing ones and values of another kind (CONFIG)."""
        config: BackupConfig = build(cls, values, "")
        if not config.trusted_keys:
            raise BackupError(Code.CONFIG, "trusted_keys names no public key", hint=MEND)
        return config

    @classmethod
    def load(cls, path: Path = CONFIG_FILE) -> BackupConfig:
        """Read the host's own config file; raises CONFIG when it is absent or damaged."""
        try:
            values = read_json(path)
        except (ValueError, OSError) as error:
            raise BackupError(Code.CONFIG, f"{path} cannot be read: {error}", hint=CONVERGE) from error
        if not isinstance(values, dict):
            raise BackupError(Code.CONFIG, f"{path} does not exist: this host makes no backups", hint=CONVERGE)
        return dataclasses.replace(cls.from_mapping(values), file=path)

    @property
    def memory_file(self) -> Path:
        """How far the chain had come, as this host has seen it."""
        return self.state_dir / "head.json"

    @property
    def outbox(self) -> Path:
        return self.state_dir / "outbox"

    @property
    def proofs_file(self) -> Path:
        return self.state_dir / "proofs.json"


def build(kind: Any, value: Any, where: str) -> Any:
    """Turn plain JSON values into `kind`, a dataclass or what its fields are made of; raises CONFIG with the place."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return None if value in (None, "") else build(inner[0], value, where)
    if origin is tuple:
        _want(isinstance(value, list | tuple), value, "list", where)
        return tuple(build(inner[0], item, f"{where}[{number}]") for number, item in enumerate(value))
    if dataclasses.is_dataclass(kind):
        return _build_fields(kind, value, where)
    if kind is Path:
        _want(isinstance(value, str) and value.startswith("/"), value, "absolute path", where)
        return Path(value)
    if hasattr(kind, "total_seconds"):
        _want(isinstance(value, int | float) and not isinstance(value, bool), value, "number of seconds", where)
        return kind(seconds=value)
    _want(type(value) is kind, value, kind.__name__, where)
    return value


def _build_fields(kind: Any, value: Any, where: str) -> Any:
    _want(isinstance(value, dict), value, "group of settings", where or "the file")
    wanted = typing.get_type_hints(kind)
    before = f"{where}." if where else ""
    if unknown := sorted(set(value) - set(wanted)):
        raise BackupError(Code.CONFIG, f"unknown setting: {before}{unknown[0]}", hint=MEND)
    built = {name: build(wanted[name], item, f"{before}{name}") for name, item in value.items()}
    try:
        return kind(**built)
    except TypeError:
        needed = [each.name for each in dataclasses.fields(kind) if _has_no_default(each) and each.name not in built]
        raise BackupError(Code.CONFIG, f"setting missing: {before}{', '.join(needed)}", hint=MEND) from None


def _has_no_default(each: Any) -> bool:
    return each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING


def _want(fine: bool, value: Any, wanted: str, where: str) -> None:
    if not fine:
        raise BackupError(Code.CONFIG, f"{where} is {value!r}, no {wanted}", hint=MEND)
