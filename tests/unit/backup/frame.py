"""A host in a directory: what the jobs' frame needs to run without a server, a bucket or root."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from pasargad_ops.backup.config import BackupConfig
from pasargad_ops.backup.context import Context
from pasargad_ops.backup.signatures import make_key
from tests.unit.backup.sets import SYSTEM_ID

ROOT = Path(__file__).parents[3]


def settings(directory: Path, **changes: Any) -> dict[str, Any]:
    """Return the settings of a host whose every path lies below `directory`; makes its storage and its key."""
    (directory / "storage").mkdir(exist_ok=True)
    cluster = {"database": "shop", "version": 15, "data_dir": str(directory / "data"), "system_id": SYSTEM_ID}
    values: dict[str, Any] = {
        "env": "prod",
        "host": "db1",
        "storage": {"directory": str(directory / "storage")},
        "cluster": {**cluster, "socket_dir": str(directory / "sockets"), "port": 1},
        "trusted_keys": [make_key(directory / "signing.pem")],
        "signing_key_file": str(directory / "signing.pem"),
    }
    for name in ("state_dir", "scratch_dir", "metrics_dir", "run_dir", "quiesce_file", "release_config"):
        values[name] = str(directory / name.removesuffix("_dir"))
    return {**values, **changes}


def host(directory: Path, **changes: Any) -> Context:
    """Return the doors of such a host."""
    return Context(BackupConfig.from_mapping(settings(directory, **changes)))


def start(script: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a script in a process of its own, which can be killed."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), *arguments],
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'module_utils'}:{ROOT}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
