"""Which sets stay, and when nothing may go."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pasargad_ops.backup.manifest import new_run_id
from pasargad_ops.backup.retention import Held, Now, Plan, Policy, decide, shrunken, tier_for

TODAY = datetime(2026, 11, 28, 4, tzinfo=UTC)
POLICY = Policy()
NOW = Now(TODAY, TODAY)


def held(age_days: float, **changes: Any) -> Held:
    """A good set of some days ago."""
    at = TODAY - timedelta(days=age_days)
    whole = Held(new_run_id(at), at, "logical", 2, True, 100, "daily")
    return dataclasses.replace(whole, **changes)


def history(days: int, **changes: Any) -> list[Held]:
    """One good set a day, the oldest first; tiers as they are given when sets are made."""
    sets: list[Held] = []
    for age in range(days - 1, -1, -1):
        one = held(age, **changes)
        sets.append(dataclasses.replace(one, tier=tier_for(one.at, [earlier.at for earlier in sets])))
    return sets


def ages(sets: Sequence[Held]) -> list[int]:
    return [(TODAY - one.at).days for one in sets]


def kept(plan: Plan) -> list[Held]:
    return [one for one, _ in plan.keep]


def marked(plan: Plan) -> list[Held]:
    return [one for one, _ in plan.mark]


def applied(sets: Sequence[Held], plan: Plan) -> list[Held]:
    """What the storage holds after the plan was carried out."""
    going, gone = {one.run_id for one in marked(plan)}, {one.run_id for one in plan.delete}
    return [
        dataclasses.replace(one, marked=one.marked or one.run_id in going) for one in sets if one.run_id not in gone
    ]


def test_everything_of_thirty_days_stays() -> None:
    plan = decide(history(31), POLICY, NOW)
    assert (marked(plan), plan.delete, plan.refused) == ([], (), "")
    assert ages(kept(plan)) == list(range(30, -1, -1))
    assert all("of the last 30 days" in reason for _, reason in plan.keep)


def test_a_year_leaves_thirty_days_twelve_weeks_and_twelve_months() -> None:
    plan = decide(history(500), POLICY, dataclasses.replace(NOW, force=True))
    assert plan.refused == ""
    older = [one for one in kept(plan) if (TODAY - one.at).days > 30]
    weeks = {one.at.isocalendar()[:2] for one in kept(plan)}
    months = {(one.at.year, one.at.month) for one in kept(plan)}
    assert len(kept(plan)) == 31 + len(older)
    assert sorted(months)[-12:] == [(2025, 12), *((2026, month) for month in range(1, 12))]
    assert len(weeks) >= 12
    assert len(older) == 8 + 9, "seven or eight weeks and the months before them"


def test_a_set_goes_in_two_runs() -> None:
    sets = history(400)
    first = decide(sets, POLICY, dataclasses.replace(NOW, force=True))
    assert first.delete == ()
    after = applied(sets, first)
    second = decide(after, POLICY, dataclasses.replace(NOW, force=True))
    assert [one.run_id for one in second.delete] == [one.run_id for one in marked(first)]
    assert second.mark == ()
    last = decide(applied(after, second), POLICY, NOW)
    assert (last.mark, last.delete, last.refused) == ((), (), "")
    assert [one.run_id for one in kept(last)] == [one.run_id for one in kept(first)]


def test_the_newest_verified_set_stays_however_old_it_is() -> None:
    """Eight months of sets that nobody could verify do not push out the last one that somebody did."""
    sets = [held(250), *(held(age, level=0, drilled=False) for age in range(249, -1, -1))]
    patient = Policy(weekly=0, monthly=0, verified_within=timedelta(days=999), most_percent=100)
    plan = decide(sets, patient, NOW)
    assert plan.refused == ""
    assert ages(kept(plan))[:2] == [250, 30]
    assert "the newest verified set" in plan.keep[0][1]


def test_a_week_is_stood_for_by_its_best_set() -> None:
    week = [
        held(44, tier="weekly", flaw="it has no bytes"),
        held(43, tier="daily", level=0),
        held(42, tier="daily"),
        held(41, tier="daily"),
    ]
    sets = [*week, *(held(age) for age in range(20, -1, -1))]
    plan = decide(sets, Policy(monthly=0), NOW)
    assert [age for age in ages(kept(plan)) if age > 30] == [42]


def test_an_unread_set_stands_for_its_week_rather_than_a_damaged_one() -> None:
    week = [held(43, tier="weekly", flaw="damaged"), held(42, level=0)]
    plan = decide([*week, *(held(age) for age in range(20, -1, -1))], Policy(monthly=0), NOW)
    assert [age for age in ages(kept(plan)) if age > 30] == [42]


def test_weeks_without_a_set_do_not_count() -> None:
    """A shop that made no backups for a year keeps what it has."""
    sets = [held(age) for age in range(500, 400, -1)]
    plan = decide(sets, POLICY, dataclasses.replace(NOW, force=True))
    assert plan.refused == ""
    assert len(kept(plan)) >= 12


def test_physical_and_logical_sets_do_not_stand_for_each_other() -> None:
    sets = [*(held(age) for age in range(60, -1, -1)), held(59.5, kind="physical")]
    plan = decide(sets, Policy(weekly=0, monthly=0), dataclasses.replace(NOW, force=True))
    assert any(one.kind == "physical" for one in kept(plan))


def test_a_marked_set_stands_for_nothing_but_is_not_deleted_while_it_is_the_last_good_one() -> None:
    sets = [held(60, marked=True), *(held(age, level=0, drilled=False) for age in range(40, -1, -1))]
    plan = decide(sets, Policy(weekly=0, monthly=0), NOW)
    assert 60 in ages(kept(plan))
    assert (plan.mark, plan.delete) == ((), ())


def test_a_marked_set_stands_for_no_week() -> None:
    """It may have lost objects already, so its week is stood for by one that is whole."""
    sets = [held(43, marked=True, tier="monthly"), held(42), *(held(age) for age in range(20, -1, -1))]
    plan = decide(sets, Policy(monthly=0), NOW)
    assert plan.refused == ""
    assert [age for age in ages(kept(plan)) if age > 30] == [42]
    assert ages(plan.delete) == [43]


def test_the_newest_good_set_that_is_whole_stays_beside_a_marked_one() -> None:
    sets = [held(60), held(50, marked=True), *(held(age, level=0, drilled=False) for age in range(40, -1, -1))]
    patient = Policy(weekly=0, monthly=0, verified_within=timedelta(days=99), most_percent=100)
    plan = decide(sets, patient, NOW)
    assert plan.refused == ""
    assert ages(kept(plan))[:3] == [60, 50, 30]


def test_a_set_that_was_marked_under_a_shorter_policy_is_held_back() -> None:
    sets = history(31)
    sets[5] = dataclasses.replace(sets[5], marked=True)
    plan = decide(sets, POLICY, NOW)
    assert plan.delete == ()


def refused(sets: Sequence[Held], words: str, *, policy: Policy = POLICY, **now: Any) -> None:
    """Assert that the plan refuses, and that it refuses by this guard alone: without it, something goes."""
    plan = decide(sets, policy, dataclasses.replace(NOW, **now))
    assert words in plan.refused
    assert (plan.mark, plan.delete) == ((), ())
    assert len(plan.keep) == len(sets)


DUE = history(60)


def test_the_history_of_these_tests_has_something_due() -> None:
    plan = decide(DUE, Policy(most_percent=100), NOW)
    assert plan.refused == ""
    assert len(plan.mark) > 10


@pytest.mark.parametrize("minutes", [6, -6, 61, -61])
def test_clocks_that_disagree_refuse(minutes: int) -> None:
    wide = Policy(most_percent=100)
    refused(DUE, "clock", policy=wide, host_time=TODAY + timedelta(minutes=minutes))
    assert decide(DUE, wide, dataclasses.replace(NOW, host_time=TODAY + timedelta(minutes=4))).refused == ""


def test_a_storage_whose_clock_went_back_refuses() -> None:
    """Where the storage is a directory both clocks are the same one, so they cannot disagree."""
    ago = TODAY - timedelta(hours=1)
    refused(DUE, "from the future", policy=Policy(days=20, most_percent=100), storage_time=ago, host_time=ago)


def test_a_clock_that_jumped_a_year_ahead_deletes_no_fifth_of_the_bytes() -> None:
    ahead = TODAY + timedelta(days=365)
    refused(history(35), "% of all bytes", storage_time=ahead, host_time=ahead)


def test_a_broken_chain_refuses() -> None:
    refused(DUE, "set 3 is gone", policy=Policy(most_percent=100), chain_fault="set 3 is gone")


def test_a_job_at_work_refuses() -> None:
    refused(DUE, "drill 2026-11-28", policy=Policy(most_percent=100), live=("drill 2026-11-28",))


def test_more_than_a_fifth_of_the_bytes_refuses_unless_a_human_says_so() -> None:
    refused(DUE, "it would mark")
    assert decide(DUE, POLICY, dataclasses.replace(NOW, force=True)).refused == ""
    wide = Policy(most_percent=100)
    due = applied(DUE, decide(DUE, wide, NOW))
    refused(due, "it would delete")
    assert decide(due, POLICY, dataclasses.replace(NOW, force=True)).refused == ""


@pytest.mark.parametrize(("size", "words"), [(20, ""), (21, "21 %")])
def test_the_share_is_counted_in_bytes(size: int, words: str) -> None:
    sets = [held(40, bytes=size), *(held(age, bytes=16) for age in range(4, -1, -1))]
    sets[1] = dataclasses.replace(sets[1], bytes=100 - size - 64)
    plan = decide(sets, Policy(weekly=1, monthly=1), NOW)
    assert words in plan.refused
    assert bool(plan.mark) is not bool(words)


def test_all_sets_bad_refuse() -> None:
    bad = [dataclasses.replace(one, flaw="a frame is damaged") for one in DUE]
    refused(bad, "no logical set", policy=Policy(most_percent=100))
    refused(bad, "no logical set", policy=Policy(most_percent=100), force=True)


def test_a_verifier_that_is_down_refuses() -> None:
    """Sets go on being made and nobody reads them: what goes might be the last ones that are good."""
    wide = Policy(most_percent=100)
    unread = [dataclasses.replace(one, level=0) if (TODAY - one.at).days < 9 else one for one in DUE]
    refused(unread, "nobody verifies", policy=wide)
    never = [dataclasses.replace(one, level=1) for one in DUE]
    refused(never, "has been verified", policy=wide)
    late = [dataclasses.replace(one, level=0) if (TODAY - one.at).days < 8 else one for one in DUE]
    assert decide(late, wide, NOW).refused == ""


def test_without_a_drilled_set_nothing_goes() -> None:
    wide = Policy(most_percent=100)
    none = [dataclasses.replace(one, drilled=False) for one in DUE]
    refused(none, "restored in a drill", policy=wide)
    one = [dataclasses.replace(one, drilled=number == 0) for number, one in enumerate(DUE)]
    plan = decide(one, wide, NOW)
    assert (plan.refused, kept(plan)[0]) == ("", one[0])
    flawed = [dataclasses.replace(DUE[0], flaw="damaged"), *none[1:]]
    refused(flawed, "restored in a drill", policy=wide)


def test_fewer_than_three_sets_would_be_left() -> None:
    sets = [held(60, flaw="damaged"), held(50), held(0)]
    refused(sets, "2 logical sets would be left", policy=Policy(weekly=0, monthly=0, most_percent=100))
    three = [held(60, flaw="damaged"), held(50), held(1), held(0)]
    assert ages(marked(decide(three, Policy(weekly=0, monthly=0, most_percent=100), NOW))) == [60]


@pytest.mark.parametrize("sets", [[], history(1), [held(3, level=0, drilled=False)]])
def test_a_young_shop_is_not_refused_what_it_does_not_ask(sets: list[Held]) -> None:
    plan = decide(sets, POLICY, NOW)
    assert (len(plan.keep), plan.mark, plan.delete, plan.refused) == (len(sets), (), (), "")


def random_history(chance: random.Random, days: int, *, healthy: bool) -> list[Held]:
    """Mostly healthy days, with nights without a set, unread, damaged, drilled and marked ones."""
    sets = [
        held(
            age + chance.randrange(20) / 24,
            level=2 if healthy or chance.random() < 0.7 else 0,
            drilled=healthy or chance.random() < 0.2,
            flaw="" if healthy or chance.random() < 0.8 else "damaged",
            marked=chance.random() < 0.1,
            bytes=chance.randrange(200),
            tier=chance.choice(["daily", "weekly", "monthly", ""]),
            kind=chance.choice(["logical", "logical", "physical"]),
        )
        for age in range(days)
        if chance.random() < 0.8
    ]
    chance.shuffle(sets)
    return sets


# A seed makes longer and livelier histories than drawing each value, of which most are small.
histories = st.builds(
    lambda seed, days, healthy: random_history(random.Random(seed), days, healthy=healthy),
    st.integers(0, 2**32),
    st.integers(0, 60),
    st.booleans(),
)
policies = st.builds(
    Policy,
    days=st.integers(0, 12),
    weekly=st.integers(0, 3),
    monthly=st.integers(0, 2),
    minimum=st.integers(0, 4),
    drilled=st.integers(0, 2),
    verified_within=st.sampled_from([timedelta(days=3), timedelta(days=60)]),
    most_percent=st.sampled_from([20, 60, 100]),
)
# How the plans of the next test ended: a test over plans that do nothing would find nothing.
DOING = {"refused": 0, "idle": 0, "doing": 0}


@settings(max_examples=300)
@given(histories, policies, st.booleans())
def test_no_plan_costs_what_must_stay(sets: list[Held], policy: Policy, force: bool) -> None:
    plan = decide(sets, policy, dataclasses.replace(NOW, force=force))
    DOING["refused" if plan.refused else "doing" if plan.mark or plan.delete else "idle"] += 1
    going = [*marked(plan), *plan.delete]
    assert sorted([*kept(plan), *going], key=repr) == sorted(sets, key=repr), "each set stands in one list"
    assert all(reason for _, reason in (*plan.keep, *plan.mark))
    assert not plan.refused or not going
    assert all(one.marked for one in plan.delete)
    assert not any(one.marked for one in marked(plan))
    assert all(TODAY - one.at > timedelta(days=policy.days) for one in going)
    left = [one for one in sets if one not in going]
    for kind in {one.kind for one in going}:
        of_kind = sorted((one for one in sets if one.kind == kind), key=lambda one: (one.at, one.run_id))
        good = [one for one in of_kind if policy.is_good(one)]
        assert good[-1] in left
        whole = [one for one in left if one.kind == kind and not one.marked and not one.flaw]
        assert any(policy.is_good(one) for one in whole)
        assert len(whole) >= policy.minimum
        assert sum(one.drilled for one in whole) >= policy.drilled
    if sets:
        assert max(sets, key=lambda one: (one.at, one.run_id)) in left


def test_the_plans_of_that_test_do_something() -> None:
    assert DOING["doing"] * 4 > sum(DOING.values()), DOING
    assert DOING["refused"] > 0


@settings(max_examples=200)
@given(histories, policies)
def test_plans_come_to_rest(sets: list[Held], policy: Policy) -> None:
    """At one time, marking and then deleting leaves nothing to do: kept sets are the ones that were kept."""
    now = dataclasses.replace(NOW, force=True)
    first = decide(sets, policy, now)
    assume(not first.refused)
    once = applied(sets, first)
    second = decide(once, policy, now)
    assert second.refused == ""
    assert second.mark == ()
    assert {one.run_id for one in second.delete} == {one.run_id for one in marked(first)}
    last = decide(applied(once, second), policy, now)
    assert (last.mark, last.delete, last.refused) == ((), (), "")
    assert {one.run_id for one in kept(last)} == {one.run_id for one in kept(first)}


@given(histories, policies)
def test_carrying_a_plan_out_again_changes_nothing(sets: list[Held], policy: Policy) -> None:
    plan = decide(sets, policy, NOW)
    assert applied(applied(sets, plan), plan) == applied(sets, plan)


@settings(max_examples=50)
@given(histories, policies, st.integers(1, 6))
def test_a_share_that_was_marked_can_be_deleted(sets: list[Held], policy: Policy, count: int) -> None:
    """The guard on bytes must not stop half way: what it let be marked, it lets be deleted."""
    unmarked = [dataclasses.replace(one, marked=False) for one in sets]
    plan = decide(unmarked, policy, NOW)
    assume(not plan.refused)
    assert decide(applied(unmarked, plan), policy, NOW).refused == ""


def test_two_years_of_nights_keep_their_promises() -> None:
    chance = random.Random(7)
    sets: list[Held] = []
    deleted = refusals = 0
    for night in range(730):
        at = datetime(2026, 1, 1, 3, tzinfo=UTC) + timedelta(days=night)
        if chance.random() < 0.93:
            flaw = "damaged" if chance.random() < 0.05 else ""
            tier = tier_for(at, [one.at for one in sets if not one.flaw])
            run_id = new_run_id(at, random=chance.randbytes)
            sets.append(Held(run_id, at, "logical", 0 if flaw else 2, chance.random() < 0.1, 100, tier, flaw=flaw))
        plan = decide(sets, POLICY, Now(at, at))
        refusals += bool(plan.refused)
        deleted += len(plan.delete)
        before, sets = sets, applied(sets, plan)
        assert [one for one in before if at - one.at <= timedelta(days=30)] == [
            one for one in sets if at - one.at <= timedelta(days=30)
        ]
    assert refusals == 0
    assert deleted > 500
    assert 30 + 7 + 9 <= len(sets) <= 31 + 9 + 12 + 2
    assert len({(one.at.year, one.at.month) for one in sets}) >= 12
    assert all(one.tier != "daily" for one in sets if at - one.at > timedelta(days=45)), "the lifecycle would take it"


def test_the_first_set_of_a_month_or_week_stands_for_it() -> None:
    sunday = datetime(2026, 11, 22, 3, tzinfo=UTC)
    assert tier_for(sunday, []) == "monthly"
    assert tier_for(sunday, [datetime(2026, 11, 1, tzinfo=UTC)]) == "weekly"
    # Monday's backup failed, so Tuesday's is the one of the week.
    assert tier_for(sunday + timedelta(days=2), [datetime(2026, 11, 1, tzinfo=UTC), sunday]) == "weekly"
    assert tier_for(sunday + timedelta(days=3), [sunday, sunday + timedelta(days=2)]) == "daily"
    assert tier_for(datetime(2027, 1, 1, tzinfo=UTC), [datetime(2026, 12, 30, tzinfo=UTC)]) == "monthly"


@pytest.mark.parametrize(
    ("amount", "earlier", "words"),
    [
        (0, [], "has no bytes"),
        (0, [100, 100, 100], "has no bytes"),
        (49, [100, 90, 110], "49 bytes where 100 are usual"),
        (50, [100, 90, 110], ""),
        (1, [100, 100], ""),
        (1000, [100, 100, 100], ""),
        (60, [100, 100, 10_000], ""),
    ],
)
def test_an_empty_or_half_dump_is_no_good_set(amount: int, earlier: list[int], words: str) -> None:
    assert (words in shrunken("bytes", amount, earlier)) if words else shrunken("bytes", amount, earlier) == ""


def test_a_half_dump_never_stands_for_the_last_good_one() -> None:
    half = held(0, flaw=shrunken("bytes", 10, [100, 100, 100]), bytes=10)
    sets = [*history(60)[:20], half]
    plan = decide(sets, Policy(weekly=0, monthly=0, most_percent=100), NOW)
    assert sets[19] in kept(plan)
    assert sets[19] not in marked(plan)
