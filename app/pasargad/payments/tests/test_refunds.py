"""Money back: in parts, never more than came, sent again when it failed, and told in any order."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from django.core import mail
from django.db import IntegrityError, connection, transaction
from testing.factories import make_order, make_variant
from testing.money import (
    charge_message,
    dispute_message,
    intent_message,
    make_attempt,
    make_paid,
    refund_message,
    together,
)

from pasargad.books.oracles import check
from pasargad.catalog.models import StockMovement
from pasargad.ledger.selectors import balances
from pasargad.notifications.models import Mail
from pasargad.notifications.services import mail_send
from pasargad.orders.models import Order, Status
from pasargad.orders.presenting import order_view
from pasargad.payments import gateway, refunds
from pasargad.payments.bookkeeping import books_catch_up
from pasargad.payments.exceptions import ProviderFailed, ProviderRefused, RefundRefused
from pasargad.payments.gateway import Sent
from pasargad.payments.models import Dispute, PaymentAttempt, Refund, RefundFailure, WebhookEvent
from pasargad.payments.pieces import Piece
from pasargad.payments.refunds import (
    order_refund,
    refund_again,
    refund_send,
    refund_settle,
    refund_withdraw,
    refundable,
)
from pasargad.payments.services import webhook_receive


class FakeGateway:
    """Answers refunds with what the test says."""

    def __init__(self, monkeypatch) -> None:
        self.answers: list = []
        self.asked: list[dict] = []
        self.known: list[Sent] = []
        monkeypatch.setattr(gateway, "refund_create", self.create)
        monkeypatch.setattr(gateway, "refunds_of", lambda intent_id: self.known)

    def create(self, *, intent_id: str, amount: int, key: str) -> Sent:
        self.asked.append({"intent_id": intent_id, "amount": amount, "key": key})
        answer = self.answers.pop(0) if self.answers else "succeeded"
        if isinstance(answer, Exception):
            raise answer
        sent = Sent(f"re_{len(self.asked)}", answer, amount, "usd", intent_id, key, "")
        self.known.append(sent)
        return sent


@pytest.fixture
def provider(monkeypatch) -> FakeGateway:
    return FakeGateway(monkeypatch)


def give(attempt: PaymentAttempt, amount: int, **changes) -> Refund:
    return order_refund(attempt.order_id, amount, "A reason.", actor="staff", **changes)


@pytest.mark.django_db
def test_part_of_the_money_goes_back_and_the_order_goes_on(provider):
    attempt = make_paid()
    refund = give(attempt, 300)
    refund_send(refund.pk)
    order = Order.objects.get()
    assert (order.status, order.refunded_minor) == (Status.PAID, 300)
    assert order_view(order).status_text == "Paid, partly refunded" and order_view(order).refunded.minor == 300
    assert balances() == {
        ("provider", "usd"): order.total_minor - 300, ("orders", "usd"): 300 - order.total_minor,
        ("refunds_due", "usd"): 0,
    }  # fmt: skip
    told = Mail.objects.get(kind="refund_sent")
    mail_send(told.pk)
    assert "$3.00" in mail.outbox[-1].subject and "$3.00" in mail.outbox[-1].alternatives[0][0]
    assert check() == []


@pytest.mark.django_db
@pytest.mark.parametrize(("last", "older"), [("succeeded", "pending"), ("failed", "pending"), ("failed", "succeeded")])
def test_older_news_of_a_refund_changes_nothing(provider, last, older):
    attempt = make_paid()
    refund = give(attempt, 300)
    provider.answers = ["pending"]
    refund_send(refund.pk)
    for status in (last, older):
        assert refund_settle(Sent("re_1", status, 300, "usd", attempt.intent_id or "", "", ""), actor="provider")
    assert Refund.objects.get().status == last
    assert Order.objects.get().refunded_minor == (300 if last == "succeeded" else 0) and check() == []


@pytest.mark.django_db
def test_parts_that_make_up_the_whole_refund_the_order(provider):
    attempt = make_paid()
    refund_send(give(attempt, 300).pk)
    rest = give(attempt, attempt.received_minor - 300)
    assert Order.objects.get().status == Status.REFUND_DUE and refundable(attempt.order) == 0
    refund_send(rest.pk)
    assert Order.objects.get().status == Status.REFUNDED
    assert Mail.objects.filter(kind="order_refunded").count() == 1
    assert check() == []


@pytest.mark.django_db
@pytest.mark.parametrize("amount", [0, -5, 10**6])
def test_what_cannot_be_given_back_is_refused(amount):
    attempt = make_paid()
    with pytest.raises(RefundRefused):
        give(attempt, amount)
    assert not Refund.objects.exists() and check() == []


@pytest.mark.django_db
def test_nothing_goes_back_for_an_order_that_was_not_paid():
    with pytest.raises(RefundRefused):
        order_refund(make_order().pk, 1, "x", actor="staff")


@pytest.mark.django_db
def test_the_same_form_sent_twice_is_one_refund():
    attempt = make_paid()
    assert give(attempt, 100, key="f" * 32).pk == give(attempt, 100, key="f" * 32).pk
    assert Refund.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_ten_full_refunds_at_once_are_one():
    attempt = make_paid()
    failures = together(lambda: give(attempt, attempt.received_minor), 10)
    assert len(failures) == 9 and all(isinstance(failure, RefundRefused) for failure in failures)
    assert Refund.objects.count() == 1 and check() == []


@pytest.mark.django_db(transaction=True)
def test_without_its_lock_the_race_is_seen_and_the_database_still_refuses(monkeypatch):
    """The negative control of the test above."""
    attempt = make_paid()
    meet = threading.Barrier(10)

    def unlocked(found: PaymentAttempt) -> tuple[Order, PaymentAttempt]:
        order, row = Order.objects.get(pk=found.order_id), PaymentAttempt.objects.get(pk=found.pk)
        meet.wait(10)
        return order, row

    def naive() -> None:
        with transaction.atomic():
            refunds.refund_open(PaymentAttempt.objects.get(pk=attempt.pk), attempt.received_minor, "all")

    monkeypatch.setattr(refunds, "_lock", unlocked)
    monkeypatch.setattr(refunds, "refund_key", lambda *numbers: f"race-{threading.get_ident()}")
    monkeypatch.setattr(refunds, "_follow_the_sums", lambda *args, **kwargs: None)
    failures = together(naive, 10)
    assert len(failures) == 9 and all(isinstance(failure, IntegrityError) for failure in failures)
    constraint = next(row for row in PaymentAttempt._meta.constraints if row.name == "payments_attempt_refunded")
    Refund.objects.all().delete()
    PaymentAttempt.objects.update(refunded_minor=0)
    with connection.schema_editor() as editor:
        editor.remove_constraint(PaymentAttempt, constraint)
    try:
        meet.reset()
        assert together(naive, 10) == []
        attempt.refresh_from_db()
        assert Refund.objects.count() == 10 and attempt.refunded_minor == 10 * attempt.received_minor
        assert {finding.oracle for finding in check()} >= {"refunds_within_received", "constraints_hold"}
    finally:
        Refund.objects.all().delete()
        PaymentAttempt.objects.update(refunded_minor=0)
        with connection.schema_editor() as editor:
            editor.add_constraint(PaymentAttempt, constraint)


@pytest.mark.django_db
def test_the_database_refuses_more_than_was_received():
    attempt = make_paid()
    with pytest.raises(IntegrityError), transaction.atomic():
        PaymentAttempt.objects.filter(pk=attempt.pk).update(refunded_minor=attempt.received_minor + 1)


@pytest.mark.django_db
def test_a_refused_refund_is_sent_again_with_another_key(provider):
    attempt = make_paid()
    provider.answers = [ProviderRefused("The account has no money.")]
    refund = give(attempt, 300)
    refund_send(refund.pk)
    refund.refresh_from_db()
    assert (refund.status, refund.error) == ("failed", "The account has no money.")
    refund_again(refund.pk, actor="staff")
    with pytest.raises(RefundRefused):
        refund_again(refund.pk, actor="staff")
    refund_send(refund.pk)
    refund.refresh_from_db()
    assert (refund.status, refund.sending) == ("succeeded", 2)
    keys = [asked["key"] for asked in provider.asked]
    assert len(set(keys)) == 2 and RefundFailure.objects.get().idempotency_key == keys[0]
    assert attempt.order.token not in "".join(keys)
    assert check() == []


@pytest.mark.django_db
def test_a_refund_that_the_bank_sends_back_is_due_again(provider):
    attempt = make_paid()
    refund = give(attempt, attempt.received_minor)
    refund_send(refund.pk)
    assert Order.objects.get().status == Status.REFUNDED
    failed = refund_message(attempt, "failed", amount=attempt.received_minor, identity="re_1")
    assert webhook_receive(failed)
    assert Order.objects.get().status == Status.REFUND_DUE and Order.objects.get().refunded_minor == 0
    assert balances()["refunds_due", "usd"] == -attempt.received_minor and check() == []
    with pytest.raises(RefundRefused, match="whole order"):
        refund_withdraw(refund.pk, actor="staff")
    refund_again(refund.pk, actor="staff")
    # A late copy of the failure is about the first sending.
    webhook_receive(refund_message(attempt, "failed", amount=attempt.received_minor, identity="re_1"))
    assert Refund.objects.get().status == "created"
    refund_send(refund.pk)
    assert Order.objects.get().status == Status.REFUNDED and check() == []


@pytest.mark.django_db
def test_a_failed_refund_can_be_withdrawn_and_its_money_promised_again(provider):
    attempt = make_paid()
    provider.answers = [ProviderRefused("no")]
    refund = give(attempt, 300)
    with pytest.raises(RefundRefused):
        refund_withdraw(refund.pk, actor="staff")
    refund_send(refund.pk)
    before = refundable(attempt.order)
    refund_withdraw(refund.pk, actor="staff")
    assert refundable(attempt.order) == before + 300 and check() == []


@pytest.mark.django_db
def test_a_key_that_the_provider_fails_at_is_left_when_it_gave_nothing(provider):
    attempt = make_paid()
    refund = give(attempt, 300)
    first = refund.idempotency_key
    provider.answers = [ProviderFailed("no"), ProviderFailed("no")]
    refund_send(refund.pk)
    refund.refresh_from_db()
    assert (refund.status, refund.idempotency_key) == ("created", first)
    Refund.objects.update(updated_at=refund.updated_at - 2 * refunds.POISONED_AFTER)
    refund_send(refund.pk)
    refund.refresh_from_db()
    assert refund.status == "created" and refund.idempotency_key != first
    refund_send(refund.pk)
    assert Refund.objects.get().status == "succeeded" and check() == []


@pytest.mark.django_db
def test_a_provider_that_failed_but_gave_the_money_is_believed(provider):
    attempt = make_paid()
    refund = give(attempt, 300)
    provider.answers = [ProviderFailed("no")]
    provider.known = [Sent("re_9", "succeeded", 300, "usd", attempt.intent_id or "", refund.idempotency_key, "")]
    refund_send(refund.pk)
    refund.refresh_from_db()
    assert (refund.status, refund.provider_id) == ("succeeded", "re_9")
    assert Refund.objects.count() == 1 and check() == []


@pytest.mark.django_db
def test_a_refund_made_at_the_provider_is_taken_into_the_books(provider):
    attempt = make_paid()
    for _ in range(2):
        assert webhook_receive(refund_message(attempt, "succeeded", amount=200, identity="re_desk"))
    refund = Refund.objects.get()
    assert (refund.amount_minor, refund.actor, refund.status) == (200, "provider", "succeeded")
    assert Order.objects.get().refunded_minor == 200 and check() == []


@pytest.mark.django_db
def test_a_refund_made_at_the_provider_takes_the_place_of_one_that_failed(provider):
    attempt = make_paid()
    provider.answers = [ProviderRefused("no")]
    mine = give(attempt, attempt.received_minor)
    foreign = refund_message(attempt, "succeeded", amount=attempt.received_minor, identity="re_desk")
    with pytest.raises(RefundRefused):
        webhook_receive(foreign)
    assert not WebhookEvent.objects.filter(event_id=foreign["id"]).exists()
    refund_send(mine.pk)
    assert webhook_receive(foreign)
    mine.refresh_from_db()
    assert mine.status == "withdrawn" and Order.objects.get().status == Status.REFUNDED
    assert check() == []


@pytest.mark.django_db
def test_pieces_are_refunded_once_and_go_back_into_stock_once():
    variant = make_variant(stock=5)
    attempt = make_paid(make_order((variant, 2)))
    line = attempt.order.lines.get()
    refund = give(attempt, 1000, pieces=[Piece(line, 1, restock=True)])
    variant.refresh_from_db()
    assert variant.on_hand == 4
    assert StockMovement.objects.get(kind="returned").reference == f"refund:{refund.pk}"
    with pytest.raises(RefundRefused, match="More pieces"):
        give(attempt, 1000, pieces=[Piece(line, 2)])
    Order.objects.update(status=Status.SHIPPED)
    with pytest.raises(RefundRefused, match="left the house"), transaction.atomic():
        give(attempt, 500, pieces=[Piece(line, 1, restock=True)])
    Order.objects.update(status=Status.PAID)
    assert check() == []


@pytest.mark.django_db
def test_disputed_money_cannot_be_given_back():
    attempt = make_paid()
    webhook_receive(dispute_message(attempt, "needs_response", amount=attempt.received_minor))
    with pytest.raises(RefundRefused):
        give(attempt, 1)
    assert Mail.objects.filter(kind="staff_dispute").count() == 1 and check() == []
    webhook_receive(dispute_message(attempt, "won", amount=attempt.received_minor))
    give(attempt, 1)
    assert Dispute.objects.get().status == "won" and check() == []


@pytest.mark.django_db
def test_a_warning_of_the_bank_takes_no_money_and_a_lost_case_does():
    attempt = make_paid()
    webhook_receive(dispute_message(attempt, "warning_needs_response", amount=500))
    assert ("disputed", "usd") not in balances()
    webhook_receive(dispute_message(attempt, "lost", amount=500))
    assert balances()["losses", "usd"] == 500 and balances()["disputed", "usd"] == 0 and check() == []


def end_state() -> dict:
    """What may not depend on the order of messages."""
    return {
        "order": list(Order.objects.values_list("status", "refunded_minor")),
        "attempts": sorted(PaymentAttempt.objects.values_list(
            "number", "status", "received_minor", "refunded_minor", "disputed_minor")),
        "refunds": sorted(Refund.objects.values_list("amount_minor", "status", "provider_id")),
        "disputes": list(Dispute.objects.values_list("status", "amount_minor")),
        "ledger": {key: total for key, total in balances().items() if total},
        "waiting": WebhookEvent.objects.filter(waiting=True).count(),
    }  # fmt: skip


def received_in_any_order(messages: list[dict], before: tuple[dict, ...] = ()) -> Iterator[tuple[dict, ...]]:
    """Receive messages in every order; yields each order while the database is at its end.

    What begins alike is received once: the next message comes where the last ones were taken back.
    """
    if not messages:
        yield before
    for place, event in enumerate(messages):
        point = transaction.savepoint()
        webhook_receive(event)
        yield from received_in_any_order(messages[:place] + messages[place + 1 :], (*before, event))
        transaction.savepoint_rollback(point)


@pytest.mark.django_db
def test_any_order_of_messages_ends_the_same():
    order = make_order()
    make_attempt(order, 1, status="cancelled")
    attempt = make_attempt(order, 2)
    total = order.total_minor
    messages = [
        intent_message(attempt, "processing"),
        intent_message(attempt, "succeeded"),
        intent_message(PaymentAttempt.objects.get(number=1), "requires_payment_method"),
        refund_message(attempt, "succeeded", amount=200),
        charge_message(attempt, 200),
        dispute_message(attempt, "needs_response", amount=total - 200),
    ]
    ends = []
    for received in received_in_any_order(messages):
        ends.append(end_state())
        assert ends[-1] == ends[0], [event["type"] for event in received]
    assert len(ends) == 720
    assert ends[0]["waiting"] == 0 and ends[0]["refunds"] == [(200, "succeeded", "re_1")]


@pytest.mark.django_db
@pytest.mark.parametrize("last", ["won", "lost"])
def test_refunds_and_disputes_that_end_badly_end_the_same_in_any_order(last):
    attempt = make_attempt(make_order())
    messages = [
        intent_message(attempt, "succeeded"),
        refund_message(attempt, "pending", amount=200),
        refund_message(attempt, "failed", amount=200),
        dispute_message(attempt, "needs_response", amount=300),
        dispute_message(attempt, last, amount=300),
    ]
    ends = []
    for received in received_in_any_order(messages):
        ends.append(end_state())
        assert ends[-1] == ends[0], [event["type"] for event in received]
        assert books_catch_up() == 0 and check() == [], [event["type"] for event in received]
    assert len(ends) == 120


@pytest.mark.django_db
def test_an_inquiry_of_the_bank_that_came_to_nothing_is_over():
    attempt = make_paid()
    webhook_receive(dispute_message(attempt, "warning_needs_response", amount=300))
    assert Dispute.objects.get().status == Dispute.Status.WARNING
    webhook_receive(dispute_message(attempt, "warning_closed", amount=300))
    assert Dispute.objects.get().status == Dispute.Status.WON and check() == []


@pytest.mark.django_db
def test_copies_of_a_message_change_nothing():
    attempt = make_paid()
    event = refund_message(attempt, "succeeded", amount=200)
    assert webhook_receive(event)
    before = end_state()
    assert [webhook_receive(event) for _ in range(5)] == [False] * 5 and end_state() == before


@pytest.mark.django_db(transaction=True)
def test_copies_of_a_message_at_once_count_once():
    attempt = make_paid()
    sent = Sent("re_1", "succeeded", 200, "usd", attempt.intent_id or "", "", "")
    assert together(lambda: refund_settle(sent, actor="test"), 8) == []
    assert Refund.objects.count() == 1 and check() == []


@pytest.mark.django_db
def test_what_is_due_stays_due_beside_a_refund_made_at_the_provider(provider):
    """The whole order is due back; somebody gives back a part at the provider first, so that ours does not fit."""
    attempt = make_paid()
    ours = give(attempt, attempt.received_minor)
    theirs = Sent("re_desk", "succeeded", 300, attempt.currency, attempt.intent_id or "", "", "")
    with pytest.raises(RefundRefused):
        refund_settle(theirs, actor="provider")
    provider.answers = [ProviderRefused("That is more than is left.")]
    refund_send(ours.pk)
    refund_settle(theirs, actor="provider")
    assert Order.objects.get().status == Status.REFUND_DUE and check() == []
    rest = Refund.objects.get(status="created")
    assert rest.amount_minor == attempt.received_minor - 300
    refund_send(rest.pk)
    assert Order.objects.get().status == Status.REFUNDED and check() == []
