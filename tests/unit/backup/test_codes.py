"""Every code has its row in the reference, and the reference names no other."""

from __future__ import annotations

import re
from pathlib import Path

from pasargad_ops.backup.errors import Code

REFERENCE = Path(__file__).resolve().parents[3] / "docs/reference/backup-codes.md"


def test_the_reference_names_every_code() -> None:
    rows = re.findall(r"^\| ([0-9]+) \| ([A-Z_]+) \|", REFERENCE.read_text(), re.MULTILINE)
    assert {int(number): name for number, name in rows} == {int(code): code.name for code in Code}
    assert [int(number) for number, _ in rows] == sorted(int(code) for code in Code)
