"""Disputes take money until they are decided, and refunds may end otherwise than they began."""

from __future__ import annotations

import urllib.error

import pytest
import stripe

from .catcher import Catcher
from .conftest import Service, call


def pay(client: stripe.StripeClient, card: str = "pm_card_visa") -> stripe.PaymentIntent:
    """Return a collected payment of 30.00."""
    return client.v1.payment_intents.create(
        {
            "amount": 3000,
            "currency": "usd",
            "payment_method_types": ["card"],
            "payment_method": card,
            "confirm": True,
        }
    )


def moved(client: stripe.StripeClient) -> int:
    """Return the sum of all movements, fees left out."""
    return sum(move.amount for move in client.v1.balance_transactions.list({"limit": 100}).data)


@pytest.mark.parametrize(("outcome", "left"), [("won", 3000), ("lost", 0)])
def test_a_bank_takes_the_money_until_it_decides(
    client: stripe.StripeClient, provider: Service, catcher: Catcher, outcome: str, left: int
) -> None:
    intent = pay(client)
    opened = call(provider, "POST", "/_control/disputes", {"payment_intent": intent.id})
    dispute = client.v1.disputes.retrieve(opened["id"])
    assert (dispute.status, dispute.amount, dispute.payment_intent) == ("needs_response", 3000, intent.id)
    assert client.v1.charges.retrieve(str(intent.latest_charge)).disputed and moved(client) == 0
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.refunds.create({"payment_intent": intent.id})
    assert refused.value.code == "charge_disputed"
    call(provider, "POST", f"/_control/disputes/{dispute.id}/{outcome}", {})
    assert client.v1.disputes.list({"payment_intent": intent.id}).data[0].status == outcome
    assert moved(client) == left
    wanted = {"charge.dispute.created", "charge.dispute.funds_withdrawn", "charge.dispute.closed"}
    wanted |= {"charge.dispute.funds_reinstated"} if outcome == "won" else set()
    catcher.wait(lambda: wanted <= set(catcher.types()))
    assert ("charge.dispute.funds_reinstated" in catcher.types()) is (outcome == "won")


def test_a_merchant_answers_or_gives_up(client: stripe.StripeClient, provider: Service) -> None:
    dispute = call(provider, "POST", "/_control/disputes", {"payment_intent": pay(client).id, "amount": 500})
    assert client.v1.disputes.update(dispute["id"], {"submit": True}).status == "under_review"
    assert client.v1.disputes.close(dispute["id"]).status == "lost"
    with pytest.raises(stripe.InvalidRequestError, match="already closed"):
        client.v1.disputes.close(dispute["id"])


@pytest.mark.parametrize("wish", [{"amount": 3001}, {"amount": 0}, {"reason": "bored"}, {"payment_intent": "pi_none"}])
def test_a_dispute_about_nothing_is_refused(
    client: stripe.StripeClient, provider: Service, wish: dict[str, object]
) -> None:
    with pytest.raises(urllib.error.HTTPError):
        call(provider, "POST", "/_control/disputes", {"payment_intent": pay(client).id, **wish})
    assert not client.v1.disputes.list().data


def test_a_payment_is_disputed_once(client: stripe.StripeClient, provider: Service) -> None:
    intent = pay(client)
    call(provider, "POST", "/_control/disputes", {"payment_intent": intent.id})
    with pytest.raises(urllib.error.HTTPError):
        call(provider, "POST", "/_control/disputes", {"payment_intent": intent.id})


def test_a_refund_may_take_its_time(client: stripe.StripeClient, provider: Service, catcher: Catcher) -> None:
    refund = client.v1.refunds.create({"payment_intent": pay(client, "pm_card_pendingRefund").id, "amount": 1000})
    assert refund.status == "pending"
    call(provider, "POST", f"/_control/refunds/{refund.id}/succeed", {})
    assert client.v1.refunds.retrieve(refund.id).status == "succeeded"
    with pytest.raises(urllib.error.HTTPError):
        call(provider, "POST", f"/_control/refunds/{refund.id}/succeed", {})
    catcher.wait(lambda: "refund.updated" in catcher.types())


def test_a_refund_that_fails_brings_the_money_back_and_can_be_given_again(
    client: stripe.StripeClient, provider: Service, catcher: Catcher
) -> None:
    intent = pay(client, "pm_card_refundFail")
    refund = client.v1.refunds.create({"payment_intent": intent.id})
    assert refund.status == "succeeded" and moved(client) == 0
    call(provider, "POST", f"/_control/refunds/{refund.id}/fail", {})
    failed = client.v1.refunds.retrieve(refund.id)
    assert (failed.status, failed.failure_reason) == ("failed", "lost_or_stolen_card") and moved(client) == 3000
    assert client.v1.charges.retrieve(str(intent.latest_charge)).amount_refunded == 0
    catcher.wait(lambda: {"refund.updated", "refund.failed", "charge.refund.updated"} <= set(catcher.types()))
    assert client.v1.refunds.create({"payment_intent": intent.id}).amount == 3000
