"""What every story has: a fresh shop with a provider, a reader of the books, and an end at which all has come to rest.

Hypothesis makes up the steps (`story_steps.py`). The database's questions are asked after every step; the provider's
lists are compared at the end. A step may plan an interlude: the next time that the shop comes to a label of
`pasargad.faults`, something else happens there, as another process would do it, or the process dies.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import stripe
from django.db import transaction
from django.utils import timezone
from django_tasks_db.models import DBTaskResult
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition
from testing.factories import BUYER, NO_LIMIT, make_cart, make_coupon, make_variant
from testing.provider import Provider

from pasargad.books.oracles import check, check_provider, names
from pasargad.cart.exceptions import CartRefused
from pasargad.cart.models import Cart
from pasargad.cart.services import cart_coupon_set
from pasargad.orders import services as orders
from pasargad.orders.exceptions import IllegalTransition, OrderRefused, ReturnRefused
from pasargad.orders.models import Order, Status
from pasargad.orders.services import order_lock, order_move, order_place
from pasargad.payments import gateway, refunds
from pasargad.payments import services as payments
from pasargad.payments.exceptions import PaymentError
from pasargad.payments.models import PaymentAttempt, Refund
from pasargad.shipments.exceptions import ShipmentRefused

REFUSALS = (CartRefused, OrderRefused, IllegalTransition, ReturnRefused, PaymentError, ShipmentRefused)
pick = st.integers(0, 10**6)
# What a message can spoil, asked after each; no story is long enough for what is overdue.
AT_ONCE = (
    "payment_once",
    "payment_settled",
    "refunds_within_received",
    "disputes_noted",
    "ledger_agrees",
    "order_refunded",
)
LONG = (
    "order_not_overdue",
    "refund_not_overdue",
    "mail_not_overdue",
    "constraints_hold",
    "events_done",
    "ledger_balanced",
)
EVERY_STEP = [name for name in names() if name not in LONG]


class Died(BaseException):
    """The process ended here, as by kill -9: whoever called it hears nothing."""


class Story(RuleBasedStateMachine):
    """One story; everything it writes is rolled back at its end."""

    provider: Provider

    def __init__(self) -> None:
        super().__init__()
        self.provider.control("DELETE", "data")
        self.began = timezone.now() - timedelta(minutes=1)
        self.placed: list[tuple[Cart, str, int]] = []
        self.interlude: tuple[str, str] | None = None
        self.fine = False
        self.patched = {module: module.crash_point for module in (orders, payments, refunds)}
        for module in self.patched:
            module.crash_point = self._at  # type: ignore[attr-defined]
        self.transaction = transaction.atomic()
        self.transaction.__enter__()

    @initialize(
        stocks=st.lists(st.integers(1, 4), min_size=2, max_size=2),
        bought=st.lists(st.sampled_from(["visa", "pendingRefund", "refundFail"]), max_size=2),
        sent=st.booleans(),
    )
    def open_shop(self, stocks: list[int], bought: list[str], sent: bool) -> None:
        """Goods, coupons, and up to two orders that were paid, and perhaps sent, before the story begins."""
        self.variants = [make_variant(stock=stock) for stock in stocks]
        self.variants.append(make_variant(stock=0, made_to_order=True, lead_days=3))
        make_coupon("TWICE", limit=2)
        make_coupon("ONCE-EACH", per_customer_limit=1, priority=1)
        for card in bought:
            order = self.buy([1, 0, 2])
            attempt = payments.payment_start(order.pk)
            self.confirm(attempt.intent_id or "", card)
            payments.payment_check(attempt, actor="return")
            self.variants = [self.variants[1], self.variants[0], self.variants[2]]
            if sent:
                order_move(order_lock(order.pk), Status.SHIPPED, actor="staff")

    def buy(self, quantities: list[int], coupon: str = "") -> Order:
        lines = [(variant, pieces) for variant, pieces in zip(self.variants, quantities, strict=True) if pieces]
        cart, key = make_cart(*lines), secrets.token_hex(16)
        if coupon:
            cart_coupon_set(cart, coupon)
        order = order_place(cart, BUYER, key=key, agreed_total_minor=NO_LIMIT)
        self.placed.append((cart, key, order.pk))
        return order

    @precondition(lambda self: hasattr(self, "variants"))
    @invariant()
    def the_books_are_right(self) -> None:
        self.fine = False
        assert check(EVERY_STEP) == []
        self.fine = True

    def teardown(self) -> None:
        try:
            if self.fine:
                self.come_to_rest()
                self.nothing_is_left_open()
        finally:
            for module, original in self.patched.items():
                module.crash_point = original  # type: ignore[attr-defined]
            transaction.set_rollback(True)
            self.transaction.__exit__(None, None, None)

    def come_to_rest(self) -> None:
        """What the workers do in the end, with a provider that behaves again."""
        self.provider.control("DELETE", "faults")
        self.interlude = None
        for _ in range(3):
            Refund.objects.filter(status="created").update(updated_at=timezone.now() - timedelta(hours=1))
            self.work()
            payments.events_pull()
            payments.payments_reconcile(quiet_seconds=0)
            refunds.refunds_resend(quiet_seconds=0)

    def nothing_is_left_open(self) -> None:
        assert check() == [] and check_provider(self.began) == []
        assert not Refund.objects.filter(status="created").exists(), "a refund was never sent"
        open_ = PaymentAttempt.objects.filter(status__in=payments.UNSETTLED)
        assert not open_.exclude(order__status=Status.AWAITING_PAYMENT).exists(), "an order that is over can be paid"
        for intent in gateway.intents_between(self.began, timezone.now() + timedelta(minutes=1)):
            attempt = PaymentAttempt.objects.filter(idempotency_key=intent.attempt_key).first()
            payable = intent.status not in ("succeeded", "canceled") and attempt and attempt.intent_id
            assert not payable or attempt.order.status == Status.AWAITING_PAYMENT, "the provider still takes money"

    def work(self) -> None:
        """Do what is queued for the background workers; a task that fails is not done again."""
        for row in DBTaskResult.objects.ready().filter(task_path__startswith="pasargad.payments"):
            row.delete()
            with self.refusals():
                row.task.func(*row.args_kwargs["args"], **row.args_kwargs["kwargs"])

    def deliver(self, events: list[dict[str, Any]]) -> None:
        """Hand messages over one by one; the shop refuses what it cannot do yet, and each leaves the books right."""
        for event in events:
            with self.refusals():
                payments.webhook_receive(event)
            assert check(AT_ONCE) == [], event["type"]

    def events(self) -> list[dict[str, Any]]:
        return gateway.events_since(self.began, payments.TYPES)

    def confirm(self, intent_id: str, card: str) -> None:
        """Pay at the provider, as a browser does that was told the secret."""
        params: Any = {"payment_method": f"pm_card_{card}", "return_url": "https://shop.example/"}
        with contextlib.suppress(stripe.StripeError):
            gateway._client().v1.payment_intents.confirm(intent_id, params)

    def silence(self) -> None:
        """Let the provider hear nothing of the next attempt to cancel a payment, nor of the question after it."""
        for call in ("POST /v1/*/cancel", "GET /v1/payment_intents/*"):
            self.fault(call, "hang_up", "before")

    def fault(self, call: str, effect: str, phase: str) -> None:
        self.provider.control("POST", "faults", {"target": "api", "match": call, "effect": effect, "phase": phase})

    def pull(self, lever: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Use a lever of the provider; one that does not move now stays where it is, and brings nothing."""
        with contextlib.suppress(OSError):
            return dict(self.provider.control("POST", lever, body or {}))
        return {}

    def tell(self, told: str, subject: str) -> None:
        """Bring the messages about one thing, the newest first: the older ones are old news then."""
        if told != "not" and not self.faulty():
            events = [event for event in self.events() if event["data"]["object"]["id"] == subject]
            self.deliver(events[::-1] if told == "newest first" else events)

    def faulty(self) -> bool:
        """Whether trouble is planned, which a step that only looks would use up."""
        return bool(self.provider.control("GET", "faults"))

    def one(self, model: Any, number: int, **conditions: Any) -> Any:
        rows = list(model.objects.filter(**conditions).order_by("pk").distinct())
        return rows[number % len(rows)] if rows else None

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """What the shop may refuse, and the death of its process."""
        with contextlib.suppress(*REFUSALS, Died):
            yield

    def _at(self, point: str) -> None:
        if self.interlude is None or self.interlude[0] != point:
            return
        deed, self.interlude = self.interlude[1], None
        if deed == "die":
            raise Died
        with self.refusals():
            getattr(self, f"meanwhile_{deed}")()

    def meanwhile_cancel(self) -> None:
        for order in Order.objects.filter(status=Status.AWAITING_PAYMENT):
            payments.order_withdraw(order.pk, actor="shopper")

    def meanwhile_expire(self) -> None:
        Order.objects.filter(status=Status.AWAITING_PAYMENT).update(expires_at=timezone.now() - timedelta(seconds=1))
        payments.orders_expire()

    def meanwhile_pay(self) -> None:
        """Somebody pays whatever the provider takes money for, and the messages are here at once."""
        for intent in gateway.intents_between(self.began, timezone.now() + timedelta(minutes=1)):
            if intent.status not in ("succeeded", "canceled"):
                self.confirm(intent.id, "visa")
        self.deliver(self.events())
