"""Remember what has been proven of each set on this host: the highest check that it passed, flaws, and drills.

The file can be lost: then nothing counts as proven, retention deletes nothing, and the next checks fill it again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..files import read_json, write_json
from ..lock import held

MODE = 0o640


@dataclass(frozen=True)
class Proof:
    """What is known of one set: `level` 0 to 4 at `at` (Unix seconds), when it was last restored, what is wrong."""

    level: int = 0
    at: float = 0
    drilled_at: float = 0
    flaw: str = ""


def load_proofs(path: Path) -> dict[str, Proof]:
    """Return what is known, by run id; a file that cannot be read proves nothing."""
    try:
        found = read_json(path) or {}
        return {str(run_id): Proof(**about) for run_id, about in found.items()}
    except (ValueError, TypeError, AttributeError, OSError):
        return {}


def note_proof(path: Path, run_id: str, *, at: float, level: int, flaw: str = "", drilled: bool = False) -> Proof:
    """Write down how a check of a set ended.

    A check that found a flaw takes back what was proven before; one that found none takes back the flaws of its level
    and below, and the highest level stays.
    """
    with held(path.with_name(f"{path.name}.lock")):
        known = load_proofs(path)
        before = known.get(run_id, Proof())
        if flaw:
            after = Proof(0, at, before.drilled_at, flaw)
        else:
            drilled_at = at if drilled else before.drilled_at
            after = Proof(max(level, before.level), at, drilled_at, "" if level >= before.level else before.flaw)
        write_json(path, {name: dataclasses.asdict(one) for name, one in {**known, run_id: after}.items()}, mode=MODE)
    return after


def forget_proofs(path: Path, kept: Iterable[str]) -> None:
    """Drop what is known of sets that are no longer there."""
    with held(path.with_name(f"{path.name}.lock")):
        known, names = load_proofs(path), set(kept)
        left: Mapping[str, Any] = {name: dataclasses.asdict(one) for name, one in known.items() if name in names}
        if len(left) != len(known):
            write_json(path, left, mode=MODE)
