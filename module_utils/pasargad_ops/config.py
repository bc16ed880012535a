"""Hold what the release operations must know about a host; rendered once, read by the module and by the timers
alike.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .files import read_json
from .outcome import Refused

CONFIG_FILE = Path("/etc/pasargad/ops/release.json")
SLOTS = ("blue", "green")
# TimeoutStopSec of pasargad-web@.service.
WEB_STOP_SECONDS = 65.0


@dataclass(frozen=True)
class ReleaseConfig:
    """Where releases live and how patient the operations are; durations are seconds."""

    domain: str
    python_tag: str
    srv_dir: Path = Path("/srv/pasargad")
    etc_dir: Path = Path("/etc/pasargad")
    state_dir: Path = Path("/var/lib/pasargad/release")
    run_dir: Path = Path("/run/pasargad")
    lib_dir: Path = Path("/usr/local/lib/pasargad")
    lock_file: Path = Path("/run/lock/pasargad-release.lock")
    backup_dir: Path = Path("/var/backups/pasargad")
    metrics_dir: Path = Path("/var/lib/pasargad/metrics")
    access_log: Path = Path("/var/log/nginx/pasargad.access.json")
    maintenance_file: Path = Path("/var/lib/pasargad-edge/maintenance")
    certificate: Path = Path("/etc/pasargad/tls/live/fullchain.pem")
    user: str = "pasargad"
    group: str = "pasargad"
    edge: bool = True
    ready_timeout_seconds: float = 60.0
    ready_passes: int = 3
    warm_budget_ms: float = 1500.0
    warm_rounds: int = 2
    verify_seconds: float = 5.0
    verify_error_share: float = 0.02
    deadman_seconds: int = 60
    rollback_window_seconds: int = 600
    worker_wait_seconds: float = 20.0
    worker_stop_seconds: float = 300.0
    migrate_timeout_seconds: float = 900.0
    lock_retries: int = 40
    file: Path = CONFIG_FILE
    lease_ttl_seconds: float = 90.0
    keep_count: int = 5

    @classmethod
    def from_mapping(cls, values: dict[str, Any]) -> ReleaseConfig:
        """Build a config, refusing keys it does not know and values of another kind."""
        fields = {field.name: field for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - set(fields))
        if unknown:
            raise Refused(
                f"unknown settings: {', '.join(unknown)}", hint="mend roles/app_service/templates/release.json.j2"
            )
        converted: dict[str, Any] = {}
        for name, value in values.items():
            wanted = str(fields[name].type)
            convert = {"Path": Path, "float": float, "int": int, "bool": bool}.get(wanted, str)
            try:
                converted[name] = convert(value)
            except (TypeError, ValueError) as error:
                raise Refused(f"{name} is {value!r}, not a {wanted}", hint=f"set app_service_{name}") from error
        missing = [name for name in ("domain", "python_tag") if not converted.get(name)]
        if missing:
            raise Refused(f"settings missing: {', '.join(missing)}", hint="set pasargad_domain in the inventory")
        config = cls(**converted)
        if config.deadman_seconds < config.verify_seconds + 20:
            raise Refused(
                f"deadman_seconds {config.deadman_seconds} is too short for {config.verify_seconds:g} s of watching",
                hint="set app_service_deadman_seconds to at least app_service_verify_seconds + 20",
            )
        return config

    @classmethod
    def load(cls, path: Path = CONFIG_FILE) -> ReleaseConfig:
        """Read the host's own config file."""
        values = read_json(path)
        if values is None:
            raise Refused(f"{path} does not exist", hint="run deploy.yml -e pasargad_converge=full")
        return dataclasses.replace(cls.from_mapping(values), file=path)

    @property
    def stop_seconds(self) -> float:
        """How long to wait for a slot's units: longer than systemd itself does before it kills them."""
        return max(WEB_STOP_SECONDS, self.worker_stop_seconds) + 30

    @property
    def edge_is_shut(self) -> bool:
        """Whether an operator has the proxy show the maintenance page."""
        return self.edge and self.maintenance_file.exists()

    @property
    def releases(self) -> Path:
        return self.srv_dir / "releases"

    @property
    def deps(self) -> Path:
        return self.srv_dir / "deps"

    @property
    def static(self) -> Path:
        return self.srv_dir / "static"

    @property
    def incoming(self) -> Path:
        return self.srv_dir / "incoming"

    @property
    def env_dir(self) -> Path:
        return self.etc_dir / "env"

    @property
    def live_socket(self) -> Path:
        return self.run_dir / "live.sock"

    @property
    def state_file(self) -> Path:
        return self.state_dir / "state.json"

    @property
    def fault_file(self) -> Path:
        """What tests write to hold or kill an operation; lies where only root may write."""
        return self.run_dir.with_name(self.run_dir.name + "-fault.json")

    def slot_link(self, slot: str) -> Path:
        return self.srv_dir / "slots" / slot

    def slot_env(self, slot: str) -> Path:
        return self.env_dir / f"slot-{slot}.env"

    def slot_socket(self, slot: str) -> Path:
        return self.run_dir / slot / "web.sock"
