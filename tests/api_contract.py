"""Test the shop's API against its own document and print one line of JSON: `python -m tests.api_contract`.

The line has `schemathesis_failures` (0: nothing found), and how much was tested. Exit 1: something was found.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEST = "app/pasargad/api/tests/test_contract.py"


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "contract.json"
        environment = {**os.environ, "PASARGAD_CONTRACT_REPORT": str(report)}
        pytest = [str(Path(sys.executable).with_name("pytest")), "-q", TEST]
        ran = subprocess.run(
            [sys.executable, "-m", "tests.services", "run", "--", *pytest],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if not report.exists():
            sys.stderr.write(ran.stdout + ran.stderr)
            return 2
        sys.stdout.write(report.read_text(encoding="utf-8"))
        if ran.returncode:
            sys.stderr.write(ran.stdout)
        return 1 if ran.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
