"""Anything may happen in any order: shoppers, staff, banks, lost answers, late and doubled messages.

Hypothesis makes up the story. The database's questions are asked after every step; the provider's lists are compared
at the end, when everything has come to rest.
"""

from __future__ import annotations

import contextlib
import secrets
from datetime import timedelta
from random import Random
from typing import Any

import pytest
import stripe
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from testing.factories import BUYER, NO_LIMIT, make_cart, make_variant
from testing.provider import Provider

from pasargad.books.oracles import check, check_provider
from pasargad.cart.exceptions import CartRefused
from pasargad.ledger.models import Account
from pasargad.ledger.services import ledger_move
from pasargad.orders.exceptions import IllegalTransition, OrderRefused, ReturnRefused
from pasargad.orders.models import Order, Status
from pasargad.orders.return_models import ReturnRequest
from pasargad.orders.returns import (
    Arrived,
    Wish,
    return_accept,
    return_receive,
    return_request,
    return_withdraw,
    returnable_lines,
)
from pasargad.orders.services import order_lock, order_move, order_place
from pasargad.payments import gateway
from pasargad.payments.exceptions import PaymentError, RefundRefused
from pasargad.payments.messages import TYPES
from pasargad.payments.models import PaymentAttempt, Refund
from pasargad.payments.refunds import (
    Piece,
    order_refund,
    refund_again,
    refund_send,
    refund_settle,
    refund_withdraw,
    refundable,
    refunds_check,
    refunds_resend,
    return_refund,
)
from pasargad.payments.services import (
    events_pull,
    order_withdraw,
    orders_expire,
    payment_check,
    payment_start,
    payments_reconcile,
    webhook_receive,
)

CALLS = ["POST /v1/payment_intents", "POST /v1/refunds", "POST /v1/*/cancel", "GET /v1/*"]
EFFECTS = [
    ("hang_up", "before"),
    ("hang_up", "after"),
    ("error", "before"),
    ("error", "after"),
    ("rate_limit", "before"),
]
pick = st.integers(0, 10**6)


class Shop(RuleBasedStateMachine):
    """One story; everything it writes is rolled back at its end."""

    provider: Provider

    def __init__(self) -> None:
        super().__init__()
        self.provider.control("DELETE", "data")
        self.began = timezone.now() - timedelta(minutes=1)
        self.transaction = transaction.atomic()
        self.transaction.__enter__()

    @initialize(stocks=st.lists(st.integers(1, 4), min_size=2, max_size=2))
    def stock(self, stocks: list[int]) -> None:
        self.variants = [make_variant(stock=stock) for stock in stocks]
        self.variants.append(make_variant(stock=0, made_to_order=True, lead_days=3))

    @rule(quantities=st.lists(st.integers(0, 2), min_size=3, max_size=3).filter(any))
    def place(self, quantities: list[int]) -> None:
        lines = [(variant, pieces) for variant, pieces in zip(self.variants, quantities, strict=True) if pieces]
        with contextlib.suppress(CartRefused, OrderRefused):
            order = order_place(make_cart(*lines), BUYER, key=secrets.token_hex(16), agreed_total_minor=NO_LIMIT)
            with contextlib.suppress(PaymentError):
                payment_start(order.pk)

    @rule(number=pick)
    def start(self, number: int) -> None:
        if order := self.one(Order, number):
            with contextlib.suppress(PaymentError):
                payment_start(order.pk)

    @rule(number=pick, card=st.sampled_from(["visa", "visa", "visa", "chargeDeclined", "pendingRefund", "refundFail"]))
    def pay(self, number: int, card: str) -> None:
        """The shopper pays, also at a page that was open for too long."""
        if attempt := self.one(PaymentAttempt, number, client_secret__gt=""):
            with contextlib.suppress(stripe.StripeError):
                params: Any = {"payment_method": f"pm_card_{card}", "return_url": "https://shop.example/"}
                gateway._client().v1.payment_intents.confirm(attempt.intent_id or "", params)

    @rule(number=pick)
    def come_back(self, number: int) -> None:
        if attempt := self.one(PaymentAttempt, number):
            with contextlib.suppress(PaymentError):
                payment_check(attempt, actor="return")

    @rule(order=st.randoms(use_true_random=False), copies=st.integers(1, 3), lost=st.floats(0, 0.9))
    def webhooks(self, order: Any, copies: int, lost: float) -> None:
        """Some messages come, in any order, some of them twice; one that cannot be done is refused and comes again."""
        with contextlib.suppress(PaymentError):
            events = [event for event in gateway.events_since(self.began, TYPES) if order.random() >= lost] * copies
            order.shuffle(events)
            for event in events:
                with contextlib.suppress(RefundRefused):
                    webhook_receive(event)

    @rule(call=st.sampled_from(CALLS), effect=st.sampled_from(EFFECTS))
    def trouble(self, call: str, effect: tuple[str, str]) -> None:
        self.provider.control("DELETE", "faults")
        fault = {"target": "api", "match": call, "effect": effect[0], "phase": effect[1]}
        self.provider.control("POST", "faults", fault)

    @rule(number=pick)
    def expire(self, number: int) -> None:
        if order := self.one(Order, number, status=Status.AWAITING_PAYMENT):
            Order.objects.filter(pk=order.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
            orders_expire()

    @rule(number=pick)
    def cancel(self, number: int) -> None:
        if order := self.one(Order, number):
            order_withdraw(order.pk, actor="shopper")

    @rule(number=pick, to=st.sampled_from([Status.PROCESSING, Status.SHIPPED, Status.DELIVERED]))
    def move(self, number: int, to: Status) -> None:
        if order := self.one(Order, number):
            with contextlib.suppress(IllegalTransition), transaction.atomic():
                order_move(order_lock(order.pk), to, actor="staff")

    @rule(number=pick, share=st.floats(0.05, 1), restock=st.booleans())
    def refund(self, number: int, share: float, restock: bool) -> None:
        if order := self.one(Order, number, attempts__received_minor__gt=0):
            line = order.lines.all()[number % order.lines.count()]
            amount = max(1, int(refundable(order) * share))
            with contextlib.suppress(RefundRefused):
                order_refund(order.pk, amount, "A story.", actor="staff", pieces=[Piece(line, 1, restock)])

    @rule(number=pick)
    def send(self, number: int) -> None:
        if refund := self.one(Refund, number):
            refund_send(refund.pk)

    @rule(number=pick, again=st.booleans())
    def after_a_failure(self, number: int, again: bool) -> None:
        if refund := self.one(Refund, number, status="failed"):
            with contextlib.suppress(RefundRefused):
                (refund_again if again else refund_withdraw)(refund.pk, actor="staff")

    @rule(number=pick, outcome=st.sampled_from(["succeed", "fail"]))
    def bank_decides_a_refund(self, number: int, outcome: str) -> None:
        if refund := self.one(Refund, number, provider_id__isnull=False):
            self.pull(f"refunds/{refund.provider_id}/{outcome}")

    @rule(number=pick, share=st.floats(0.05, 1))
    def desk_refund(self, number: int, share: float) -> None:
        """Somebody gives money back on the provider's own pages."""
        if attempt := self.one(PaymentAttempt, number, received_minor__gt=0):
            amount = max(1, int(attempt.received_minor * share))
            with contextlib.suppress(stripe.StripeError):
                params: Any = {"payment_intent": attempt.intent_id, "amount": amount}
                gateway._client().v1.refunds.create(params)

    @rule(number=pick)
    def dispute(self, number: int) -> None:
        if attempt := self.one(PaymentAttempt, number, received_minor__gt=0):
            self.pull("disputes", {"payment_intent": attempt.intent_id})

    @rule(number=pick, outcome=st.sampled_from(["won", "lost"]))
    def bank_decides_a_dispute(self, number: int, outcome: str) -> None:
        if attempt := self.one(PaymentAttempt, number, disputes__status="open"):
            self.pull(f"disputes/{attempt.disputes.all()[0].provider_id}/{outcome}")

    @rule(number=pick, pieces=st.integers(1, 2))
    def ask_for_return(self, number: int, pieces: int) -> None:
        if order := self.one(Order, number, status__in=[Status.SHIPPED, Status.DELIVERED]):
            with contextlib.suppress(ReturnRefused):
                wish = Wish({found.line.pk: pieces for found in returnable_lines(order)}, "unwanted")
                return_request(order.pk, wish, key=secrets.token_hex(16))

    @rule(number=pick, restock=st.booleans(), accept=st.booleans())
    def parcel_comes(self, number: int, restock: bool, accept: bool) -> None:
        if found := self.one(ReturnRequest, number):
            with contextlib.suppress(IllegalTransition, ReturnRefused):
                if not accept:
                    return_withdraw(found.pk)
                    return
                return_accept(found.pk, actor="staff")
            with contextlib.suppress(IllegalTransition, ReturnRefused):
                arrived = {
                    row.pk: Arrived(restock=row.quantity) if restock else Arrived(write_off=row.quantity)
                    for row in found.lines.all()
                }
                return_receive(found.pk, arrived, actor="staff")

    @rule(number=pick)
    def pay_for_return(self, number: int) -> None:
        if found := self.one(ReturnRequest, number, state="received"):
            with contextlib.suppress(IllegalTransition, RefundRefused):
                return_refund(found.pk, max(1, refundable(found.order) // 2), actor="staff")

    @rule()
    def reconcile(self) -> None:
        events_pull()
        payments_reconcile(quiet_seconds=0)

    @precondition(lambda self: hasattr(self, "variants"))
    @invariant()
    def the_books_are_right(self) -> None:
        assert check() == []

    def teardown(self) -> None:
        try:
            if hasattr(self, "variants"):
                self.come_to_rest()
                assert check() == [] and check_provider(self.began) == []
        finally:
            transaction.set_rollback(True)
            self.transaction.__exit__(None, None, None)

    def come_to_rest(self) -> None:
        """What the workers and the staff do in the end, with a provider that behaves again."""
        self.provider.control("DELETE", "faults")
        for _ in range(3):
            Refund.objects.filter(status="created").update(updated_at=timezone.now() - timedelta(hours=1))
            refunds_resend(quiet_seconds=0)
            events_pull()
            payments_reconcile(quiet_seconds=0)
            for attempt in PaymentAttempt.objects.filter(received_minor__gt=0):
                with contextlib.suppress(RefundRefused):
                    refunds_check(attempt.pk)

    def pull(self, lever: str, body: dict[str, Any] | None = None) -> None:
        """Use a lever of the provider; one that does not move now stays where it is."""
        with contextlib.suppress(OSError):
            self.provider.control("POST", lever, body or {})

    def one(self, model: Any, number: int, **conditions: Any) -> Any:
        rows = list(model.objects.filter(**conditions).order_by("pk").distinct())
        return rows[number % len(rows)] if rows else None


@pytest.mark.django_db
def test_any_story_ends_well(outside):
    class Story(Shop):
        provider = outside

    run_state_machine_as_test(
        Story,
        settings=settings(
            max_examples=25,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )


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

    class Story(Shop):
        provider = outside

    monkeypatch.setattr("pasargad.payments.messages.refund_settle", careless)
    story = Story()
    try:
        story.stock(stocks=[2, 2])
        story.place(quantities=[1, 1, 1])
        story.pay(number=0, card="visa")
        story.reconcile()
        story.desk_refund(number=0, share=0.25)
        with pytest.raises(AssertionError):
            for _ in range(2):
                story.webhooks(order=Random(1), copies=2, lost=0)
                story.the_books_are_right()
    finally:
        transaction.set_rollback(True)
        story.transaction.__exit__(None, None, None)
