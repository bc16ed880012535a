"""Anything may happen in any order: shoppers, staff, banks, lost answers, late and doubled messages, deaths.

PASARGAD_STORIES says how many stories are told (25 of 25 steps beside the other tests, many more by
`python3 -m tests.mutation.money`); PASARGAD_STORY_STEPS how long they are at most.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from pasargad.payments.models import PaymentAttempt

from .story_steps import WholeStory

STORIES = int(os.environ.get("PASARGAD_STORIES", "25"))
STEPS = int(os.environ.get("PASARGAD_STORY_STEPS", "25"))
# Who only wants to know whether a story fails, and not the shortest that does, saves the time.
SHRINK = os.environ.get("PASARGAD_STORY_SHRINK", "yes") == "yes"


def told(count: int, **options: Any) -> settings:
    return settings(
        max_examples=count,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
        **options,
    )


@pytest.mark.django_db
def test_any_story_ends_well(outside):
    class Story(WholeStory):
        provider = outside

    options = {} if SHRINK else {"database": None, "phases": (Phase.generate,)}
    run_state_machine_as_test(Story, settings=told(STORIES, **options))


@pytest.mark.django_db
def test_a_story_in_which_events_are_done_twice_is_found_out(outside, monkeypatch):
    """The negative control: a shop that books a refund again with every message does not pass."""
    from pasargad.payments import refunds

    def careless(sent: Any, *, actor: str) -> bool:
        attempt = PaymentAttempt.objects.filter(intent_id=sent.intent_id, received_minor__gt=0).first()
        if attempt and sent.amount <= attempt.received_minor - attempt.refunded_minor:
            refunds.refund_open(attempt, sent.amount, "again")
        return True

    class Story(WholeStory):
        provider = outside

    monkeypatch.setattr(refunds, "refund_settle", careless)
    monkeypatch.setattr("pasargad.payments.messages.refund_settle", careless)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Story, settings=told(60, database=None, phases=(Phase.generate,)))
