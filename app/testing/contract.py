"""Schemathesis against a live shop: random requests, good and bad, and every answer held against the document.

`python -m tests.api_contract` runs the test that uses this, and prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

APP = Path(__file__).resolve().parents[1]
SEED = 20
CONFIG = """
[checks]
# 428: the precondition is what is missing. 412: an ETag that looks right and is of another version.
missing_required_header.expected-statuses = [422, 428, 401]
positive_data_acceptance.expected-statuses = ["2xx", 401, 403, 404, 409, 412]

[parameters]
"""
# All that the document names, one by one, and then at random; or at random only.
EVERYTHING, AT_RANDOM = "coverage,fuzzing", "fuzzing"


@dataclass
class Report:
    """How many operations were tested, with how many requests, and what was found."""

    operations: int = 0
    requests: int = 0
    failures: list[str] = field(default_factory=list)
    server_errors: int = 0

    def __add__(self, other: Report) -> Report:
        return Report(
            max(self.operations, other.operations),
            self.requests + other.requests,
            self.failures + other.failures,
            self.server_errors + other.server_errors,
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "schemathesis_failures": len(self.failures),
            "schemathesis_operations": self.operations,
            "schemathesis_requests": self.requests,
            "schemathesis_server_errors": self.server_errors,
            "seed": SEED,
        }


def run(
    url: str, folder: Path, *, headers: Mapping[str, str], values: Mapping[str, str], examples: int, phases: str
) -> Report:
    """Test every operation of the document at `url`; `values` are those of path parameters that exist."""
    config = folder / "schemathesis.toml"
    lines = [f"{json.dumps(name)} = {json.dumps(value)}" for name, value in values.items()]
    config.write_text(CONFIG + "\n".join(lines) + "\n", encoding="utf-8")
    found = folder / "report.json"
    given = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "testing.contract_hooks", "PYTHONPATH": str(APP)}
    ran = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            "--config-file", str(config),
            "run", f"{url}/api/v1/openapi.json",
            "--url", f"{url}/api/v1",
            "--phases", phases,
            "--checks", "all",
            "--seed", str(SEED),
            "--max-examples", str(examples),
            "--generation-deterministic",
            "--continue-on-failure",
            "--request-timeout", "20",
            "--suppress-health-check", "all",
            "--report", "json",
            "--report-json-path", str(found),
            "--no-color",
            *given,
        ],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    (folder / "output.txt").write_text(ran.stdout + ran.stderr, encoding="utf-8")
    if not found.exists():
        raise RuntimeError(f"schemathesis did not run:\n{ran.stdout}\n{ran.stderr}")
    return read(json.loads(found.read_text(encoding="utf-8")))


def read(found: dict[str, Any]) -> Report:
    """Read the report of a run; raises RuntimeError for one that was not finished."""
    if not found["complete"] or found["errors"]:
        raise RuntimeError(f"schemathesis was cut off: {found['stop_reason']} {found['errors']}")
    failures = [f"{failure['title']}: {name}" for failure in found["failures"] for name in failure["operations"]]
    return Report(
        operations=found["operations"]["tested"],
        requests=found["test_cases"]["generated"],
        failures=failures,
        server_errors=sum(failure["type"] == "ServerError" for failure in found["failures"]),
    )
