"""Gather what a verification finds, and say in one code and one sentence how it ends: pure decisions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from .errors import BackupError, Code

# The worst first: what makes sets useless, then who has tampered, then damage, then what is lost meanwhile.
ORDER = (
    Code.KEY,
    Code.CHAIN,
    Code.INTEGRITY,
    Code.WAL_GAP,
    Code.ARCHIVER,
    Code.STORAGE_DENIED,
    Code.STORAGE_TRANSIENT,
    Code.NO_SPACE,
    Code.DATABASE_UNREACHABLE,
    Code.VERSION_MISMATCH,
    Code.CONFIG,
)
# Others say that a set could not be looked at, not that there is something wrong with it.
AGAINST_A_SET = (Code.CHAIN, Code.INTEGRITY, Code.WAL_GAP)
NAMED = 3


@dataclass(frozen=True)
class Flaw:
    """One thing that is wrong: which level of the verification found it, and with which sets (run ids), if any."""

    level: int
    code: Code
    what: str
    hint: str = ""
    sets: tuple[str, ...] = ()


def rank(code: Code) -> int:
    """Return the place of a code in the order of severity; the least is the worst, unknown ones come last."""
    return ORDER.index(code) if code in ORDER else len(ORDER)


def by_severity(flaws: Iterable[Flaw]) -> list[Flaw]:
    """Return the flaws, each once and the worst first; those alike stay in the order in which they were found."""
    return sorted(dict.fromkeys(flaws), key=lambda flaw: rank(flaw.code))


def failure(flaws: Sequence[Flaw]) -> BackupError | None:
    """Return the error by which the verification ends, None where nothing is wrong."""
    found = by_severity(flaws)
    if not found:
        return None
    words = "; ".join(flaw.what for flaw in found[:NAMED])
    more = f"; and {len(found) - NAMED} more findings" if len(found) > NAMED else ""
    hint = next((flaw.hint for flaw in found if flaw.hint), "")
    told = [{**asdict(flaw), "code": int(flaw.code), "sets": [*flaw.sets]} for flaw in found]
    return BackupError(found[0].code, f"{words}{more}", hint=hint, details={"findings": told})


def passed(flaws: Iterable[Flaw], level: int) -> bool:
    """Whether a level found nothing wrong, nor any level below it."""
    return not any(flaw.level <= level for flaw in flaws)


def judged(flaws: Sequence[Flaw], reached: Mapping[str, int]) -> Iterator[tuple[str, int, str]]:
    """Yield run id, level and flaw for each set of which something was learnt.

    `reached` tells how far each set was looked at. A set with a flaw has it whatever it reached, at the highest level
    that saw one; one that could not be looked at has proven nothing, and keeps what was known of it.
    """
    against: dict[str, tuple[int, str]] = {}
    unseen: set[str] = set()
    for flaw in by_severity(flaws):
        for run_id in flaw.sets:
            if flaw.code in AGAINST_A_SET:
                level, what = against.get(run_id, (0, flaw.what))
                against[run_id] = max(level, flaw.level), what
            else:
                unseen.add(run_id)
    for run_id in sorted(reached.keys() | against.keys()):
        if run_id in against:
            yield run_id, *against[run_id]
        elif run_id not in unseen:
            yield run_id, reached[run_id], ""
