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
# The level of a flaw that no check can take back, such as a set that is much smaller than those before it.
FOR_PEOPLE = 9


@dataclass(frozen=True)
class Proof:
    """What is known of one set: `level` 0 to 4 at `at` (Unix seconds), when it was last restored, what is wrong.

    `flaw_level` is the level of the check that found the flaw.
    """

    level: int = 0
    at: float = 0
    drilled_at: float = 0
    flaw: str = ""
    flaw_level: int = 0

    def __post_init__(self) -> None:
        kinds = {"level": int, "at": int | float, "drilled_at": int | float, "flaw": str, "flaw_level": int}
        for name, kind in kinds.items():
            if not isinstance(getattr(self, name), kind):
                raise TypeError(name)


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
    and below, and the highest level stays. A flaw of a higher level is never replaced by one of a lower.
    """
    with held(path.with_name(f"{path.name}.lock")):
        known = load_proofs(path)
        before = known.get(run_id, Proof())
        stays = bool(before.flaw) and before.flaw_level > level
        known_flaw = (before.flaw, before.flaw_level) if stays else ("", 0)
        if flaw:
            after = Proof(0, at, before.drilled_at, *(known_flaw if stays else (flaw, level)))
        else:
            drilled_at = at if drilled else before.drilled_at
            # What people take back is no check that was passed.
            reached = before.level if stays or level == FOR_PEOPLE else max(level, before.level)
            after = Proof(reached, at, drilled_at, *known_flaw)
        write_json(path, {name: dataclasses.asdict(one) for name, one in {**known, run_id: after}.items()}, mode=MODE)
    return after


def forget_proofs(path: Path, kept: Iterable[str]) -> None:
    """Drop what is known of sets that are no longer there."""
    with held(path.with_name(f"{path.name}.lock")):
        known, names = load_proofs(path), set(kept)
        left: Mapping[str, Any] = {name: dataclasses.asdict(one) for name, one in known.items() if name in names}
        if len(left) != len(known):
            write_json(path, left, mode=MODE)
