"""Hold what the backup jobs must know about a host; rendered once, read by the module, the timers and people alike."""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..files import read_json
from .errors import BackupError, Code
from .objects import Storage
from .retention import Policy

CONFIG_FILE = Path("/etc/pasargad/backup/backup.json")
CONVERGE = "run deploy.yml -e pasargad_converge=full"
# Longer than this no bound makes sense, and a timedelta could not hold it.
LONGEST_SECONDS = 100 * 366 * 86400
KINDS = {str: "text", int: "whole number", bool: "true or false"}
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
    def from_mapping(cls, values: Any) -> BackupConfig:
        """Build a config, refusing names it does not know, missing ones and values of another kind (CONFIG)."""
        config: BackupConfig = build(cls, values, "")
        if wrong := problems(config):
            raise BackupError(Code.CONFIG, "; ".join(wrong), hint=MEND)
        return config

    @classmethod
    def load(cls, path: Path = CONFIG_FILE) -> BackupConfig:
        """Read the host's own config file; raises CONFIG when it is absent or damaged."""
        try:
            values = read_json(path)
        except (ValueError, OSError) as error:
            raise BackupError(Code.CONFIG, f"{path} cannot be read: {error}", hint=CONVERGE) from error
        if values is None and not path.exists():
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


def problems(config: BackupConfig) -> list[str]:
    """Return in words what no host can work with though each value is of its kind; empty when all is well."""
    policy, bounds, mail = config.policy, config.bounds, config.mail
    checks = {
        "trusted_keys names no public key": bool(config.trusted_keys),
        f"cluster.port is {config.cluster.port}, no port": 0 < config.cluster.port < 65536,
        # A set counts as good once its bytes were read; without that, the last good one could go.
        f"policy.good_level is {policy.good_level}, no level from 1 to 4": 1 <= policy.good_level <= 4,
        f"policy.most_percent is {policy.most_percent}, no share from 1 to 100": 1 <= policy.most_percent <= 100,
        "mail.recipients are set, but no mail.host or mail.sender": not mail.recipients
        or bool(mail.host and mail.sender),
    }
    least: list[tuple[str, float, int]] = [
        ("policy.minimum", policy.minimum, 1),
        *((f"policy.{name}", getattr(policy, name), 0) for name in ("days", "weekly", "monthly", "drilled")),
        *((f"policy.{name}", getattr(policy, name).total_seconds(), 1) for name in ("verified_within", "skew")),
        # A run that counts as dead at once would be joined by the next one.
        ("bounds.job_seconds", bounds.job_seconds, 1),
        *((f"bounds.{each.name}", getattr(bounds, each.name), 0) for each in dataclasses.fields(bounds)),
    ]
    wrong = [words for words, fine in checks.items() if not fine]
    return wrong + [f"{name} is {value:g}, less than {bound}" for name, value, bound in least if value < bound]


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
        # Not told: who mistakes a secret's file for the secret must not find it in the journal.
        _want(isinstance(value, str) and value.startswith("/"), (), "absolute path", where)
        return Path(value)
    if hasattr(kind, "total_seconds"):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        # Not for a number that is none or infinite, either.
        _want(number and abs(value) < LONGEST_SECONDS, value, "number of seconds", where)
        return kind(seconds=value)
    _want(type(value) is kind, value, KINDS.get(kind, kind.__name__), where)
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
        names = ", ".join(before + name for name in needed)
        raise BackupError(Code.CONFIG, f"setting missing: {names}", hint=MEND) from None


def _has_no_default(each: Any) -> bool:
    return each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING


def _want(fine: bool, value: Any, wanted: str, where: str) -> None:
    if not fine:
        told = f"{value!r}, " if isinstance(value, str | int | float | None) else ""
        raise BackupError(Code.CONFIG, f"{where} is {told}no {wanted}", hint=MEND)
