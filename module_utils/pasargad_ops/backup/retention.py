"""Decide which sets are kept, and refuse to decide when the answer could cost the last good one.

Pure: times, levels and sizes come in, a plan goes out. Everything of the last days is kept, then one set a week and one
a month; weeks and months without a set do not count, so a shop that was off for a year loses nothing by that.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from .manifest import TIERS

T = TypeVar("T")
# Fewer sets of the past say nothing about what is usual.
ENOUGH_TO_COMPARE = 3


@dataclass(frozen=True)
class Held:
    """One set as retention sees it; `at` by the storage's clock, `level` the highest check passed (0 to 4).

    `flaw` says what a check found wrong, empty when nothing. A set that is `marked` may have lost objects already.
    """

    run_id: str
    at: datetime
    kind: str
    level: int
    drilled: bool
    bytes: int
    tier: str
    marked: bool = False
    flaw: str = ""


@dataclass(frozen=True)
class Policy:
    """How long and how many; `good_level` is the check that reads every byte, due in `verified_within`."""

    days: int = 30
    weekly: int = 12
    monthly: int = 12
    minimum: int = 3
    drilled: int = 1
    good_level: int = 2
    verified_within: timedelta = timedelta(days=8)
    most_percent: int = 20
    skew: timedelta = timedelta(minutes=5)

    def is_good(self, held: Held) -> bool:
        return held.level >= self.good_level and not held.flaw


@dataclass(frozen=True)
class Now:
    """What stands around the decision; `live` names the claims of other jobs; `force` is only given by hand."""

    storage_time: datetime
    host_time: datetime
    chain_fault: str = ""
    live: tuple[str, ...] = ()
    force: bool = False


@dataclass(frozen=True)
class Plan:
    """What one run does: first delete what an earlier run marked, then mark; all are kept when `refused` says why."""

    keep: tuple[tuple[Held, str], ...]
    mark: tuple[tuple[Held, str], ...] = ()
    delete: tuple[Held, ...] = ()
    refused: str = ""


@dataclass
class _Reasons:
    """Why each set is kept; the order in which the reasons were found."""

    of: dict[str, list[str]] = field(default_factory=dict)

    def add(self, sets: Iterable[Held], words: str) -> None:
        for held in sets:
            self.of.setdefault(held.run_id, []).append(words)


def decide(sets: Sequence[Held], policy: Policy, now: Now) -> Plan:
    """Plan one run of retention over all sets of a cluster; each kind has its own days, weeks, months and minimum.

    What pgBackRest made, pgBackRest expires: its sets are marked when they are gone, and not handed in here.
    When a guard refuses (exit code RETENTION_REFUSED), the plan keeps everything and says why.
    """
    reasons = _Reasons()
    for kind in sorted({held.kind for held in sets}):
        _keep(reasons, [held for held in _by_time(sets) if held.kind == kind], policy, now.storage_time)
    reasons.add(_by_time(sets)[-1:], "the newest set, the end of the chain")
    spare = [held for held in _by_time(sets) if held.run_id not in reasons.of]
    keep = tuple((held, "; ".join(reasons.of[held.run_id])) for held in _by_time(sets) if held.run_id in reasons.of)
    mark = tuple((held, _why_spare(held, policy)) for held in spare if not held.marked)
    delete = tuple(held for held in spare if held.marked)
    refused = _refusal(sets, policy, now, [held for held, _ in mark], delete) if spare else ""
    if refused:
        return Plan(tuple((held, "retention was refused") for held in _by_time(sets)), refused=refused)
    return Plan(keep, mark, delete)


def _by_time(sets: Iterable[Held]) -> list[Held]:
    return sorted(sets, key=lambda held: (held.at, held.run_id))


def _why_spare(held: Held, policy: Policy) -> str:
    return f"older than {policy.days} days, and another set stands for its week and month" + (
        f"; {held.flaw}" if held.flaw else ""
    )


def _keep(reasons: _Reasons, sets: Sequence[Held], policy: Policy, storage_time: datetime) -> None:
    """Note why sets of one kind are kept; `sets` come oldest first."""
    # A set that was marked may lack objects, so it stands for no week; but it is not deleted while any of these holds.
    whole = [held for held in sets if not held.marked]
    flawless = [held for held in whole if not held.flaw]
    since = storage_time - timedelta(days=policy.days)
    reasons.add([held for held in sets if held.at >= since], f"of the last {policy.days} days")
    for among in (sets, whole):
        reasons.add([held for held in among if policy.is_good(held)][-1:], "the newest verified set")
        reasons.add(_last([held for held in among if held.drilled and not held.flaw], policy.drilled), "a drilled set")
    reasons.add(_last(flawless, policy.minimum), f"one of the newest {policy.minimum}")
    reasons.add(_one_each(whole, _week, policy.weekly, policy), "of its week")
    reasons.add(_one_each(whole, _month, policy.monthly, policy), "of its month")


def _one_each(sets: Sequence[Held], period: Callable[[datetime], str], count: int, policy: Policy) -> list[Held]:
    """Return the best set of each of the newest `count` periods that have one: verified, of a high tier, then early."""
    best: dict[str, Held] = {}
    for held in sets:
        name = period(held.at)
        if name not in best or _rank(held, policy) > _rank(best[name], policy):
            best[name] = held
    return [best[name] for name in _last(sorted(best), count)]


def _last(some: Sequence[T], count: int) -> Sequence[T]:
    return some[max(0, len(some) - count) :]


def _rank(held: Held, policy: Policy) -> tuple[bool, bool, int]:
    return not held.flaw, policy.is_good(held), TIERS.index(held.tier) if held.tier in TIERS else 0


def _week(moment: datetime) -> str:
    year, week, _ = moment.astimezone(UTC).isocalendar()
    return f"{year:04d}-W{week:02d}"


def _month(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m}"


def hindrance(sets: Sequence[Held], policy: Policy, now: Now) -> str:
    """Say what stands around that forbids to delete anything, whatever it is; empty when nothing does."""
    skew = abs(now.storage_time - now.host_time)
    if skew > policy.skew:
        return f"the host's clock and the storage's are {_span(skew)} apart"
    future = [held for held in sets if held.at > now.storage_time + policy.skew]
    if future:
        return (
            f"{future[0].run_id} is from the future ({future[0].at:%Y-%m-%d %H:%M} UTC): the storage's clock went back"
        )
    if now.chain_fault:
        return f"the chain of the sets is not sound: {now.chain_fault}"
    if now.live:
        return f"a job is at work: {', '.join(now.live)}"
    return ""


def _refusal(sets: Sequence[Held], policy: Policy, now: Now, mark: Sequence[Held], delete: Sequence[Held]) -> str:
    """Say why nothing may be deleted, in words; empty when it may."""
    if words := hindrance(sets, policy, now):
        return words
    for kind in sorted({held.kind for held in (*mark, *delete)}):
        words = _refusal_of(kind, [held for held in sets if held.kind == kind], policy, {held.run_id for held in mark})
        if words:
            return words
    whole = [held for held in sets if not held.marked]
    for name, some, all_ in (("mark", mark, whole), ("delete", delete, (*whole, *delete))):
        share = _percent(some, all_)
        if share > policy.most_percent and not now.force:
            return f"it would {name} {share} % of all bytes in one run (at most {policy.most_percent} %)"
    return ""


def _refusal_of(kind: str, sets: Sequence[Held], policy: Policy, going: set[str]) -> str:
    left = [held for held in _by_time(sets) if not held.marked and held.run_id not in going and not held.flaw]
    good = [held for held in left if policy.is_good(held)]
    if not good:
        return f"no {kind} set that would be left has been verified"
    if left[-1].at - good[-1].at > policy.verified_within:
        behind = _span(left[-1].at - good[-1].at)
        return f"the newest verified {kind} set is {behind} older than the newest one: nobody verifies"
    if len(left) < policy.minimum:
        return f"{len(left)} {kind} sets would be left (at least {policy.minimum})"
    drilled = sum(held.drilled for held in left)
    if drilled < policy.drilled:
        return f"{drilled} {kind} sets that were restored in a drill would be left (at least {policy.drilled})"
    return ""


def _percent(some: Iterable[Held], all_: Iterable[Held]) -> int:
    """Return the share of bytes, rounded up so that a little too much is too much."""
    return -(-100 * sum(held.bytes for held in some) // max(1, sum(held.bytes for held in all_)))


def _span(length: timedelta) -> str:
    hours = length / timedelta(hours=1)
    return (
        f"{length.total_seconds() / 60:.0f} minutes"
        if hours < 2
        else f"{hours:.0f} hours"
        if hours < 72
        else f"{length.days} days"
    )


def tier_for(at: datetime, earlier: Sequence[datetime]) -> str:
    """Return the tier of a set made now: the first set of a month is monthly, the first of a week weekly.

    `earlier` are the times of the sound sets of this kind, so a Sunday that failed costs no week.
    """
    if _month(at) not in {_month(moment) for moment in earlier}:
        return "monthly"
    return "weekly" if _week(at) not in {_week(moment) for moment in earlier} else "daily"


def shrunken(what: str, amount: int, earlier: Sequence[int], *, least_percent: int = 50) -> str:
    """Say in words when `amount` (bytes or rows) is empty or far below the median of the sets before; else empty.

    A dump that ended with 0 may still hold nothing; such a set has a flaw and is never the last good one.
    """
    if amount <= 0:
        return f"it has no {what}"
    usual = statistics.median(earlier) if len(earlier) >= ENOUGH_TO_COMPARE else 0
    if amount * 100 < usual * least_percent:
        return f"it has {amount} {what} where {usual:.0f} are usual"
    return ""
