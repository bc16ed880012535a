"""Refunds never exceed what was captured, also when many ask at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import stripe

from .conftest import Service, connect


@pytest.fixture
def paid(client: stripe.StripeClient) -> stripe.PaymentIntent:
    """Return a collected payment of 30.00."""
    return client.v1.payment_intents.create(
        {
            "amount": 3000,
            "currency": "usd",
            "payment_method_types": ["card"],
            "payment_method": "pm_card_visa",
            "confirm": True,
        }
    )


def test_partial_refunds_add_up(client: stripe.StripeClient, paid: stripe.PaymentIntent) -> None:
    first = client.v1.refunds.create({"payment_intent": paid.id, "amount": 1000, "reason": "requested_by_customer"})
    assert (first.status, first.amount, first.reason) == ("succeeded", 1000, "requested_by_customer")
    rest = client.v1.refunds.create({"charge": str(paid.latest_charge)})
    assert rest.amount == 2000
    charge = client.v1.charges.retrieve(str(paid.latest_charge))
    assert (charge.refunded, charge.amount_refunded) == (True, 3000)
    moves = client.v1.balance_transactions.list({"type": "refund"}).data
    assert sum(move.amount for move in moves) == -3000
    assert len(client.v1.refunds.list({"payment_intent": paid.id}).data) == 2


def test_more_than_is_left_is_refused(client: stripe.StripeClient, paid: stripe.PaymentIntent) -> None:
    client.v1.refunds.create({"payment_intent": paid.id, "amount": 1000})
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded amount") as caught:
        client.v1.refunds.create({"payment_intent": paid.id, "amount": 2001})
    assert caught.value.param == "amount"
    client.v1.refunds.create({"payment_intent": paid.id, "amount": 2000})
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.refunds.create({"payment_intent": paid.id})
    assert caught.value.code == "charge_already_refunded"


def test_unpaid_and_unknown_payments_have_nothing_to_refund(client: stripe.StripeClient) -> None:
    open_intent = client.v1.payment_intents.create({"amount": 3000, "currency": "usd"})
    with pytest.raises(stripe.InvalidRequestError, match="does not have a successful charge"):
        client.v1.refunds.create({"payment_intent": open_intent.id})
    with pytest.raises(stripe.InvalidRequestError, match="No such payment_intent"):
        client.v1.refunds.create({"payment_intent": "pi_none"})
    with pytest.raises(stripe.InvalidRequestError, match="payment_intent or charge"):
        client.v1.refunds.create({})


@pytest.mark.parametrize("wish", [{"amount": 0}, {"reason": "bored"}, {"colour": "red"}, {"amount": "1.5"}])
def test_wrong_parameters_are_refused(
    client: stripe.StripeClient, paid: stripe.PaymentIntent, wish: dict[str, object]
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.refunds.create({"payment_intent": paid.id, **wish})  # type: ignore[typeddict-item]
    assert caught.value.param == next(iter(wish))


def test_ten_full_refunds_at_once_give_the_money_back_once(provider: Service, paid: stripe.PaymentIntent) -> None:
    start = threading.Barrier(10)

    def refund(_: int) -> int:
        start.wait()
        try:
            return connect(provider.url).v1.refunds.create({"payment_intent": paid.id}).amount
        except stripe.InvalidRequestError:
            return 0

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(refund, range(10))) == 3000


def test_metadata_of_a_refund_can_be_changed(client: stripe.StripeClient, paid: stripe.PaymentIntent) -> None:
    refund = client.v1.refunds.create({"payment_intent": paid.id, "metadata": {"rma": "1"}})
    assert client.v1.refunds.update(refund.id, {"metadata": {"rma": "2"}}).metadata.to_dict() == {"rma": "2"}
    assert client.v1.refunds.retrieve(refund.id).metadata.to_dict() == {"rma": "2"}
