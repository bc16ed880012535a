"""Anything may happen in any order: shoppers, staff, banks, lost answers, late and doubled messages, deaths.

PASARGAD_STORIES says how many stories are told (25 of 25 steps beside the other tests, many more by
`python3 -m tests.mutation.money`); PASARGAD_STORY_STEPS how long they are at most.
"""

from __future__ import annotations

import os
import secrets
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from pasargad.ledger.models import Account
from pasargad.ledger.services import ledger_move
from pasargad.payments.models import PaymentAttempt
from pasargad.payments.refunds import refund_settle

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

    def careless(sent: Any, *, actor: str) -> bool:
        settled = refund_settle(sent, actor=actor)
        attempt = PaymentAttempt.objects.get(intent_id=sent.intent_id)
        key, subject = secrets.token_hex(8), f"order:{attempt.order_id}"
        ledger_move(
            key, subject=subject, currency=attempt.currency, amount=sent.amount,
            into=Account.REFUNDS_DUE, out_of=Account.PROVIDER,
        )  # fmt: skip
        return settled

    class Story(WholeStory):
        provider = outside

    monkeypatch.setattr("pasargad.payments.messages.refund_settle", careless)
    story = Story()
    try:
        story.open_shop(stocks=[2, 2], bought=["visa"], sent=False)
        story.desk_refund(number=0, share=0.25)
        with pytest.raises(AssertionError):
            for _ in range(2):
                story.webhooks(order="as they came", mix=Random(1), copies=2, lost=0.0)
                story.the_books_are_right()
    finally:
        story.fine = False
        story.teardown()
