"""The steps of stories: what shoppers, staff, banks and the network do, in any order and number."""

from __future__ import annotations

import contextlib
import secrets
from datetime import timedelta
from typing import Any

import pytest
import stripe
from django.db import transaction
from django.db.models import Sum
from django.utils import timezone
from hypothesis import strategies as st
from hypothesis.stateful import rule
from testing.factories import BUYER, NO_LIMIT

from pasargad.orders.exceptions import OrderOver
from pasargad.orders.models import GIVEN_UP, Order, Status
from pasargad.orders.return_models import ReturnRequest
from pasargad.orders.returns import (
    Arrived,
    Wish,
    return_accept,
    return_receive,
    return_refuse,
    return_request,
    return_withdraw,
    returnable_lines,
)
from pasargad.orders.services import order_lock, order_move, order_place
from pasargad.payments import gateway
from pasargad.payments.models import PaymentAttempt, Refund
from pasargad.payments.pieces import Piece
from pasargad.payments.refunds import (
    order_refund,
    refund_again,
    refund_send,
    refund_withdraw,
    refundable,
    return_refund,
)
from pasargad.payments.services import (
    events_pull,
    order_withdraw,
    orders_expire,
    payment_check,
    payment_start,
    payments_reconcile,
)
from pasargad.shipments.carriers.port import DELIVERED, Step, Tracking
from pasargad.shipments.models import Shipment
from pasargad.shipments.services import shipment_cancel, shipment_prepare, shipment_send, tracking_record

from .story import Story, pick

CALLS = ["POST /v1/payment_intents", "POST /v1/refunds", "POST /v1/*/cancel", "GET /v1/*"]
EFFECTS = [
    ("hang_up", "before"),
    ("hang_up", "after"),
    ("error", "before"),
    ("error", "after"),
    ("rate_limit", "before"),
]
# Where no row is locked, another process may do anything; everywhere, this one may die.
BETWEEN = ["payments.start.noted", "payments.start.answered", "payments.start.adopted", "payments.expire.withdrawn"]
DEADLY = [
    "orders.place.written",
    "payments.settle.received",
    "payments.settle.done",
    "payments.webhook.applied",
    "payments.refund.opened",
    "payments.refund.sending",
    "payments.refund.sent",
    "payments.return.refunding",
]
TOLD = st.sampled_from(["not", "as they came", "newest first"])
CARDS = ["visa", "visa", "visa", "chargeDeclined", "pendingRefund", "refundFail"]


class ShopperSteps(Story):
    @rule(
        quantities=st.lists(st.integers(0, 2), min_size=3, max_size=3).filter(any),
        coupon=st.sampled_from(["", "", "TWICE", "ONCE-EACH"]),
        paying=st.booleans(),
    )
    def place(self, quantities: list[int], coupon: str, paying: bool) -> None:
        with self.refusals():
            order = self.buy(quantities, coupon)
            if paying:
                payment_start(order.pk)

    @rule(number=pick)
    def place_again(self, number: int) -> None:
        """The button is pressed a second time, with the key of the form."""
        if self.placed:
            cart, key, order_id = self.placed[number % len(self.placed)]
            over = Order.objects.get(pk=order_id).status in GIVEN_UP
            with pytest.raises(OrderOver) if over else contextlib.nullcontext():
                assert order_place(cart, BUYER, key=key, agreed_total_minor=NO_LIMIT).pk == order_id

    @rule(number=pick)
    def start(self, number: int) -> None:
        if order := self.one(Order, number):
            with self.refusals():
                payment_start(order.pk)

    @rule(number=pick, card=st.sampled_from(CARDS), told=st.booleans())
    def pay(self, number: int, card: str, told: bool) -> None:
        """Whatever the provider takes money for may be paid, also by a page that was open for too long."""
        listed = gateway.intents_between(self.began, timezone.now() + timedelta(minutes=1)) if not self.faulty() else []
        payable = [intent.id for intent in listed[::-1] if intent.status not in ("succeeded", "canceled")]
        if payable:
            intent_id = payable[number % len(payable)]
            self.confirm(intent_id, card)
            if told:
                self.deliver([event for event in self.events() if event["data"]["object"]["id"] == intent_id])

    @rule(number=pick)
    def come_back(self, number: int) -> None:
        if attempt := self.one(PaymentAttempt, number):
            with self.refusals():
                payment_check(attempt, actor="return")

    @rule(number=pick, silent=st.booleans())
    def expire(self, number: int, silent: bool) -> None:
        if order := self.one(Order, number, status=Status.AWAITING_PAYMENT):
            if silent:
                self.silence()
            Order.objects.filter(pk=order.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
            with self.refusals():
                orders_expire()

    @rule(number=pick, silent=st.booleans())
    def cancel(self, number: int, silent: bool) -> None:
        if order := self.one(Order, number):
            if silent:
                self.silence()
            with self.refusals():
                order_withdraw(order.pk, actor="shopper")

    @rule(number=pick)
    def ask_for_return(self, number: int) -> None:
        if order := self.one(Order, number, status__in=[Status.SHIPPED, Status.DELIVERED]):
            with self.refusals():
                wish = Wish({found.line.pk: found.left for found in returnable_lines(order)}, "unwanted")
                return_request(order.pk, wish, key=secrets.token_hex(16))


class StaffSteps(Story):
    @rule(number=pick, to=st.sampled_from([Status.PROCESSING, Status.SHIPPED, Status.SHIPPED, Status.DELIVERED]))
    def move(self, number: int, to: Status) -> None:
        if order := self.one(Order, number, attempts__received_minor__gt=0):
            with self.refusals(), transaction.atomic():
                order_move(order_lock(order.pk), to, actor="staff")

    @rule(number=pick, pieces=st.integers(0, 2))
    def pack(self, number: int, pieces: int) -> None:
        """Pack some pieces of the first line, or all that is left."""
        if order := self.one(Order, number, attempts__received_minor__gt=0):
            line = order.lines.all()[0]
            with self.refusals():
                shipment_prepare(order.pk, quantities={line.pk: pieces} if pieces else None)

    @rule(number=pick, step=st.sampled_from(["send", "send", "arrive", "unpack"]))
    def parcel(self, number: int, step: str) -> None:
        if found := self.one(Shipment, number):
            with self.refusals():
                if step == "send":
                    shipment_send(found.pk, actor="staff")
                elif step == "unpack":
                    shipment_cancel(found.pk, actor="staff")
                elif found.sent_at:
                    arrived = Step(DELIVERED, "Left at the door", "Boston", timezone.now())
                    tracking_record(found.pk, Tracking("own", "1", (arrived,)))

    @rule(
        number=pick,
        share=st.sampled_from([0.05, 0.3, 0.5, 1.0, 1.2]),
        pieces=st.integers(0, 2),
        restock=st.booleans(),
        sending=st.booleans(),
    )
    def give_back(self, number: int, share: float, pieces: int, restock: bool, sending: bool) -> None:
        """Some money, for some pieces or none; never more than there is, and a second click gives nothing more."""
        if attempt := self.one(PaymentAttempt, number, received_minor__gt=0):
            amount = max(1, int((attempt.received_minor - attempt.refunded_minor) * share))
            wanted = [Piece(attempt.order.lines.all()[0], pieces, restock)] if pieces else []
            room, key = self.room(attempt.order), secrets.token_hex(16)
            with self.refusals():
                made = order_refund(attempt.order_id, amount, "A story.", actor="staff", pieces=wanted, key=key)
                assert amount <= room, f"{amount} given back, and there were {room}"
                again = order_refund(attempt.order_id, amount, "A story.", actor="staff", pieces=wanted, key=key)
                assert made.pk == again.pk
                if sending:
                    refund_send(made.pk)

    def room(self, order: Order) -> int:
        """What may still be given back of an order's fullest payment, counted from its refunds and disputes."""
        rooms = [0]
        for attempt in order.attempts.filter(received_minor__gt=0):
            promised = attempt.refunds.exclude(status="withdrawn").aggregate(sum=Sum("amount_minor", default=0))["sum"]
            taken = attempt.disputes.filter(status__in=["open", "lost"]).aggregate(sum=Sum("amount_minor", default=0))
            rooms.append(attempt.received_minor - promised - taken["sum"])
        return max(rooms)

    @rule(number=pick)
    def send(self, number: int) -> None:
        if refund := self.one(Refund, number):
            with self.refusals():
                refund_send(refund.pk)

    @rule(number=pick, again=st.booleans())
    def after_a_failure(self, number: int, again: bool) -> None:
        if refund := self.one(Refund, number, status="failed"):
            with self.refusals():
                (refund_again if again else refund_withdraw)(refund.pk, actor="staff")

    @rule(number=pick, step=st.sampled_from(["accept", "take", "take", "pay", "pay", "refuse", "withdraw"]))
    def answer_return(self, number: int, step: str) -> None:
        if found := self.one(ReturnRequest, number):
            rows = list(found.lines.all())
            with self.refusals():
                if step == "accept":
                    return_accept(found.pk, actor="staff")
                elif step == "refuse":
                    return_refuse(found.pk, actor="staff", answer="No.")
                elif step == "withdraw":
                    return_withdraw(found.pk)
                elif step == "take":
                    with self.refusals():
                        return_accept(found.pk, actor="staff")
                    arrived = [Arrived(restock=row.quantity) if number % 3 else Arrived(write_off=1) for row in rows]
                    return_receive(found.pk, dict(zip([r.pk for r in rows], arrived, strict=True)), actor="staff")
                else:
                    amount = max(1, refundable(found.order) // 2)
                    refund_send(return_refund(found.pk, amount, actor="staff").pk)

    @rule()
    def reconcile(self) -> None:
        with self.refusals():
            self.work()
            events_pull()
            payments_reconcile(quiet_seconds=0)


class OutsideSteps(Story):
    @rule(
        order=st.sampled_from(["mixed", "newest first", "as they came"]),
        mix=st.randoms(use_true_random=False),
        copies=st.integers(1, 2),
        lost=st.sampled_from([0.0, 0.0, 0.3, 0.7]),
    )
    def webhooks(self, order: str, mix: Any, copies: int, lost: float) -> None:
        """Some messages come, in any order, some of them twice; one that cannot be done is refused and comes again."""
        if self.faulty():
            return
        events = [event for event in self.events() if mix.random() >= lost] * copies
        if order == "mixed":
            mix.shuffle(events)
        self.deliver(events[::-1] if order == "newest first" else events)

    @rule(call=st.sampled_from(CALLS), effect=st.sampled_from(EFFECTS))
    def trouble(self, call: str, effect: tuple[str, str]) -> None:
        self.provider.control("DELETE", "faults")
        self.fault(call, *effect)

    @rule(point=st.sampled_from(BETWEEN), deed=st.sampled_from(["cancel", "expire", "pay"]))
    def meanwhile(self, point: str, deed: str) -> None:
        self.interlude = (point, deed)

    @rule(point=st.sampled_from(BETWEEN + DEADLY))
    def death(self, point: str) -> None:
        self.interlude = (point, "die")

    @rule(number=pick, outcome=st.sampled_from(["succeed", "fail"]), told=TOLD)
    def bank_decides_a_refund(self, number: int, outcome: str, told: str) -> None:
        if refund := self.one(Refund, number, provider_id__isnull=False):
            self.pull(f"refunds/{refund.provider_id}/{outcome}")
            self.tell(told, refund.provider_id or "")

    @rule(number=pick, share=st.floats(0.05, 1))
    def desk_refund(self, number: int, share: float) -> None:
        """Somebody gives money back on the provider's own pages."""
        if attempt := self.one(PaymentAttempt, number, received_minor__gt=0):
            amount = max(1, int(attempt.received_minor * share))
            with contextlib.suppress(stripe.StripeError):
                params: Any = {"payment_intent": attempt.intent_id, "amount": amount}
                gateway._client().v1.refunds.create(params)

    @rule(number=pick, told=TOLD)
    def dispute(self, number: int, told: str) -> None:
        """A bank takes back what was paid, perhaps before we have heard of the payment."""
        listed = gateway.intents_between(self.began, timezone.now() + timedelta(minutes=1)) if not self.faulty() else []
        paid = [intent.id for intent in listed[::-1] if intent.received]
        if paid:
            case = self.pull("disputes", {"payment_intent": paid[number % len(paid)]})
            self.tell(told, case.get("id", ""))

    @rule(number=pick, outcome=st.sampled_from(["won", "lost"]), told=TOLD)
    def bank_decides_a_dispute(self, number: int, outcome: str, told: str) -> None:
        if attempt := self.one(PaymentAttempt, number, disputes__status="open"):
            case = attempt.disputes.all()[0].provider_id
            self.pull(f"disputes/{case}/{outcome}")
            self.tell(told, case)


class WholeStory(ShopperSteps, StaffSteps, OutsideSteps):
    """Everybody at once."""
