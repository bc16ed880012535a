"""Tell Prometheus about releases through a textfile, replaced atomically."""

from __future__ import annotations

import time

from .artefact import read_release
from .config import ReleaseConfig
from .edge_log import Count
from .files import write_atomically
from .state import State

RESULTS = ("success", "failed", "reverted", "kept", "rolled back")


def write(config: ReleaseConfig, state: State, *, result: str, seconds: float, counted: Count) -> None:
    """Write the metrics of the deploy or rollback that has just ended."""
    samples: list[tuple[str, str, list[tuple[dict[str, str], float]]]] = [
        ("pasargad_release_info", "The release that serves.", [(_release_labels(config, state), 1)]),
        ("pasargad_deploy_timestamp_seconds", "When the last deploy or rollback ended.", [({}, time.time())]),
        (
            "pasargad_deploy_result",
            "How the last deploy ended: 1 for the result that holds.",
            [({"result": name}, float(name == result)) for name in RESULTS],
        ),
        ("pasargad_deploy_duration_seconds", "How long it took on this host.", [({}, seconds)]),
        (
            "pasargad_deploy_requests",
            "Requests that the edge saw during it.",
            [({"result": "served"}, counted.requests - counted.lost), ({"result": "lost"}, counted.lost)],
        ),
        ("pasargad_switch_duration_seconds", "How long the last rename took.", [({}, state.last_switch_ms / 1000)]),
    ]
    text = "".join(render(*sample) for sample in samples)
    write_atomically(config.metrics_dir / "release.prom", text.encode(), mode=0o644)


def _release_labels(config: ReleaseConfig, state: State) -> dict[str, str]:
    serving = state.serving
    release = read_release(config.releases / serving.release) if serving else None
    return {
        "slot": state.active or "",
        "release": serving.release if serving else "",
        "version": release.version if release else "",
    }


def render(name: str, words: str, values: list[tuple[dict[str, str], float]]) -> str:
    """Return one gauge in Prometheus' text format."""
    lines = [f"# HELP {name} {words}", f"# TYPE {name} gauge"]
    for labels, value in values:
        inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        lines.append(f"{name}{'{' + inside + '}' if inside else ''} {value:.17g}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
