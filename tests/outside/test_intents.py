"""The states of a payment, as Stripe's own client sees them."""

from __future__ import annotations

import pytest
import stripe

CARD = {"amount": 4200, "currency": "usd", "payment_method_types": ["card"]}


def pay(client: stripe.StripeClient, card: str = "pm_card_visa", **more: object) -> stripe.PaymentIntent:
    return client.v1.payment_intents.create({**CARD, "payment_method": card, "confirm": True, **more})  # type: ignore[typeddict-item]


def test_create_then_confirm_collects_the_money(client: stripe.StripeClient) -> None:
    intent = client.v1.payment_intents.create(
        {**CARD, "metadata": {"order": "P-1"}, "description": "Order P-1", "receipt_email": "a@example.com"}
    )
    assert (intent.status, intent.livemode, intent.metadata["order"]) == ("requires_payment_method", False, "P-1")
    assert intent.client_secret and intent.client_secret.startswith(f"{intent.id}_secret_")
    paid = client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    assert (paid.status, paid.amount_received) == ("succeeded", 4200)
    assert isinstance(paid.latest_charge, str)
    charge = client.v1.charges.retrieve(paid.latest_charge, {"expand": ["balance_transaction", "payment_intent"]})
    assert (charge.paid, charge.captured, charge.amount_captured) == (True, True, 4200)
    assert charge.balance_transaction.net == 4200 - charge.balance_transaction.fee
    assert charge.payment_intent.id == intent.id


@pytest.mark.parametrize(
    ("token", "code", "decline_code"),
    [
        ("pm_card_visa_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", None),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", None),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", None),
    ],
)
def test_a_declined_card_raises_and_is_recorded(
    client: stripe.StripeClient, token: str, code: str, decline_code: str | None
) -> None:
    with pytest.raises(stripe.CardError) as caught:
        pay(client, token)
    error = caught.value.error
    assert (caught.value.http_status, error.code, error.decline_code) == (402, code, decline_code)
    kept = client.v1.payment_intents.retrieve(error.payment_intent.id)
    assert (kept.status, kept.amount_received, kept.payment_method) == ("requires_payment_method", 0, None)
    assert kept.last_payment_error.code == code
    assert [charge.status for charge in client.v1.charges.list({"payment_intent": kept.id}).data] == ["failed"]
    assert client.v1.balance_transactions.list().data == []
    paid = client.v1.payment_intents.confirm(kept.id, {"payment_method": "pm_card_visa"})
    assert (paid.status, paid.last_payment_error) == ("succeeded", None)


def test_a_card_that_must_be_authenticated_waits_for_the_shopper(client: stripe.StripeClient) -> None:
    intent = pay(client, "pm_card_authenticationRequired", return_url="https://shop.test/thanks")
    assert intent.status == "requires_action"
    assert intent.next_action.redirect_to_url.url.startswith(f"http://pay.test/3ds/{intent.id}?")
    assert client.v1.charges.list({"payment_intent": intent.id}).data == []


def test_error_on_requires_action_refuses_instead_of_asking(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.CardError, match="unable to authenticate"):
        pay(client, "pm_card_authenticationRequired", error_on_requires_action=True)


def test_a_paid_intent_is_neither_confirmed_nor_cancelled_nor_repriced(client: stripe.StripeClient) -> None:
    paid = pay(client)
    for attempt in (
        lambda: client.v1.payment_intents.confirm(paid.id, {"payment_method": "pm_card_visa"}),
        lambda: client.v1.payment_intents.cancel(paid.id),
        lambda: client.v1.payment_intents.update(paid.id, {"amount": 1}),
        lambda: client.v1.payment_intents.capture(paid.id),
    ):
        with pytest.raises(stripe.InvalidRequestError) as caught:
            attempt()
        assert caught.value.code == "payment_intent_unexpected_state"
        assert caught.value.error.payment_intent.id == paid.id
    assert len(client.v1.charges.list({"payment_intent": paid.id}).data) == 1


def test_update_reprices_and_merges_metadata(client: stripe.StripeClient) -> None:
    intent = client.v1.payment_intents.create({**CARD, "metadata": {"order": "1", "cart": "x"}})
    changed = client.v1.payment_intents.update(intent.id, {"amount": 5000, "metadata": {"cart": "", "try": "2"}})
    assert (changed.amount, changed.metadata.to_dict()) == (5000, {"order": "1", "try": "2"})
    assert client.v1.payment_intents.update(intent.id, {"metadata": ""}).metadata.to_dict() == {}


def test_a_new_price_takes_back_what_the_shopper_was_about_to_approve(client: stripe.StripeClient) -> None:
    intent = pay(client, "pm_card_authenticationRequired", return_url="https://shop.test/thanks")
    changed = client.v1.payment_intents.update(intent.id, {"amount": 9900})
    assert (changed.status, changed.next_action) == ("requires_confirmation", None)


def test_cancel_ends_the_intent(client: stripe.StripeClient) -> None:
    intent = client.v1.payment_intents.create(CARD)
    gone = client.v1.payment_intents.cancel(intent.id, {"cancellation_reason": "abandoned"})
    assert (gone.status, gone.cancellation_reason) == ("canceled", "abandoned")
    with pytest.raises(stripe.InvalidRequestError, match="status of canceled"):
        client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})


def test_manual_capture_takes_up_to_the_authorised_amount(client: stripe.StripeClient) -> None:
    intent = pay(client, capture_method="manual")
    assert (intent.status, intent.amount_capturable, intent.amount_received) == ("requires_capture", 4200, 0)
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 4201})
    assert caught.value.code == "amount_too_large"
    done = client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 4000})
    assert (done.status, done.amount_received) == ("succeeded", 4000)


def test_lists_page_newest_first_with_cursors(client: stripe.StripeClient) -> None:
    made = [client.v1.payment_intents.create(CARD).id for _ in range(5)]
    first = client.v1.payment_intents.list({"limit": 2})
    assert ([item.id for item in first.data], first.has_more) == (made[:2:-1], True)
    rest = client.v1.payment_intents.list({"limit": 3, "starting_after": first.data[-1].id})
    assert ([item.id for item in rest.data], rest.has_more) == (made[2::-1], False)
    before = client.v1.payment_intents.list({"limit": 2, "ending_before": made[1]})
    assert [item.id for item in before.data] == [made[3], made[2]]
    assert [item.id for item in client.v1.payment_intents.list({"limit": 2}).auto_paging_iter()] == made[::-1]


def test_payment_methods_hold_no_full_number(client: stripe.StripeClient) -> None:
    method = client.v1.payment_methods.create({"type": "card", "card": {"token": "tok_visa"}})
    assert (method.card.brand, method.card.last4) == ("visa", "4242")
    assert "4242424242424242" not in str(client.v1.payment_methods.retrieve(method.id))
    assert pay(client, method.id).status == "succeeded"
