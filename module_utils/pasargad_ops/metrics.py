"""Tell Prometheus about releases through a textfile, replaced atomically."""

from __future__ import annotations

from .config import ReleaseConfig
from .edge_log import Count
from .files import write_atomically
from .state import State


def write_metrics(config: ReleaseConfig, state: State, *, deploy_seconds: float, counted: Count) -> None:
    """Write the metrics of the deploy that has just ended."""
    content = state.content(state.active)
    release, version = content.release if content else "", state.deployed.get("version", "")
    labels = f'slot="{state.active}",release="{release}",version="{version}"'
    lines = [
        "# HELP pasargad_release_info The release that serves.",
        "# TYPE pasargad_release_info gauge",
        f"pasargad_release_info{{{labels}}} 1",
        "# HELP pasargad_deploy_timestamp_seconds When the last deploy ended.",
        "# TYPE pasargad_deploy_timestamp_seconds gauge",
        f"pasargad_deploy_timestamp_seconds {state.deployed.get('at', 0)}",
        "# HELP pasargad_deploy_duration_seconds How long the last deploy took on this host.",
        "# TYPE pasargad_deploy_duration_seconds gauge",
        f"pasargad_deploy_duration_seconds {deploy_seconds:.1f}",
        "# HELP pasargad_deploy_requests Requests that the edge saw during the last deploy, by result.",
        "# TYPE pasargad_deploy_requests gauge",
        f'pasargad_deploy_requests{{result="served"}} {counted.requests - counted.lost}',
        f'pasargad_deploy_requests{{result="lost"}} {counted.lost}',
        "# HELP pasargad_switch_duration_seconds How long the rename of the last switch took.",
        "# TYPE pasargad_switch_duration_seconds gauge",
        f"pasargad_switch_duration_seconds {state.last_switch_ms / 1000:.6f}",
    ]
    write_atomically(config.metrics_dir / "release.prom", ("\n".join(lines) + "\n").encode(), mode=0o644)
