"""Parcels: packed once, labelled once whatever the carrier answers, followed however it tells of them."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import permutations

import pytest
from django.db import transaction
from testing.carrier import Books, signed, told
from testing.factories import make_order, make_variant, make_zone
from testing.money import make_paid
from testing.shopper import text_of

from pasargad.orders.models import Order, Status
from pasargad.orders.services import order_lock, order_paid
from pasargad.payments.pieces import Piece
from pasargad.payments.refunds import order_refund
from pasargad.shipments import services
from pasargad.shipments.carriers import shippo
from pasargad.shipments.exceptions import CarrierRefused, CarrierUnreachable, ShipmentRefused
from pasargad.shipments.models import Shipment, TrackingEvent
from pasargad.shipments.selectors import shipments_of

pytestmark = pytest.mark.django_db
State = Shipment.State
NOT_STANDING = [
    Status.AWAITING_PAYMENT, Status.EXPIRED, Status.CANCELLED, Status.REFUND_DUE, Status.REFUNDED, Status.DELIVERED,
]  # fmt: skip


def paid(*lines) -> Order:
    order = make_order(*lines)
    with transaction.atomic():
        return order_paid(order_lock(order.pk), actor="test")


def parcel(carrier: str = "shippo") -> Shipment:
    return services.shipment_prepare(paid().pk, carrier=carrier)


def labelled() -> Shipment:
    shipment = parcel()
    return services.label_buy(shipment.pk, services.shipment_rates(shipment)[0])


def state(shipment: Shipment) -> tuple[str, str]:
    found = Shipment.objects.select_related("order").get(pk=shipment.pk)
    return found.state, found.order.status


def test_what_was_paid_back_is_not_sent():
    order = make_paid(make_order((make_variant(), 3))).order
    line = order.lines.get()
    order_refund(order.pk, 1000, "Out of filament.", actor="staff", pieces=[Piece(line, 1, restock=True)])
    with pytest.raises(ShipmentRefused):
        services.shipment_prepare(order.pk, quantities={line.pk: 3})
    sent = services.shipment_prepare(order.pk)
    assert sent.lines.get().quantity == 2
    services.shipment_send(sent.pk, actor="staff")
    assert state(sent) == (State.IN_TRANSIT, Status.SHIPPED)


def test_an_order_goes_in_several_parcels_and_is_shipped_with_the_last():
    order = paid((make_variant(weight_grams=300), 3), (make_variant(weight_grams=100), 1))
    three, one = order.lines.order_by("pk")
    first = services.shipment_prepare(order.pk, quantities={three.pk: 2})
    assert first.grams == 600
    with pytest.raises(ShipmentRefused):
        services.shipment_prepare(order.pk, quantities={three.pk: 2})
    second = services.shipment_prepare(order.pk)
    assert {line.order_line_id: line.quantity for line in second.lines.all()} == {three.pk: 1, one.pk: 1}
    with pytest.raises(ShipmentRefused):
        services.shipment_prepare(order.pk)
    services.shipment_send(first.pk, actor="staff", tracking_number="A1")
    assert state(first) == (State.IN_TRANSIT, Status.PAID)
    services.shipment_send(second.pk, actor="staff")
    assert state(second) == (State.IN_TRANSIT, Status.SHIPPED)
    with pytest.raises(ShipmentRefused):
        services.shipment_send(second.pk, actor="staff")


def test_only_orders_that_stand_are_packed():
    unpaid = make_order()
    with pytest.raises(ShipmentRefused):
        services.shipment_prepare(unpaid.pk)


def test_an_unpacked_parcel_frees_its_pieces():
    shipment = parcel("own")
    services.shipment_cancel(shipment.pk, actor="staff")
    assert services.shipment_prepare(shipment.order_id).lines.count() == 1
    with pytest.raises(ShipmentRefused):
        services.shipment_cancel(shipment.pk, actor="staff")


def test_rates_and_label_of_the_carrier(carrier: Books):
    shipment = parcel()
    rates = services.shipment_rates(shipment)
    assert [(rate.service, rate.price_minor) for rate in rates] == [("usps_ground", 535), ("usps_priority", 910)]
    bought = services.label_buy(shipment.pk, rates[0])
    assert (bought.state, bought.tracking_carrier, bought.cost_minor) == (State.LABELLED, "usps", 535)
    assert bought.tracking_number and bought.label_url.endswith(".pdf")
    assert carrier.bought[0]["metadata"] == shipment.reference
    with pytest.raises(ShipmentRefused):
        services.label_buy(shipment.pk, rates[0])
    assert len(carrier.bought) == 1


def test_questions_are_repeated_and_purchases_are_not(carrier: Books):
    shipment = parcel()
    carrier.faults = ["break", "drop"]
    assert services.shipment_rates(shipment)
    assert carrier.asked == [("POST", "/shipments/")] * 3
    carrier.faults = ["break", "break", "break"]
    with pytest.raises(CarrierUnreachable):
        services.shipment_rates(shipment)
    rate = services.shipment_rates(shipment)[0]
    carrier.asked.clear()
    carrier.faults = ["break"]
    with pytest.raises(CarrierUnreachable):
        services.label_buy(shipment.pk, rate)
    assert carrier.asked == [("POST", "/transactions/")]


@pytest.mark.parametrize(
    ("fault", "after", "labels"),
    [("drop", State.LABELLED, 1), ("break", State.PREPARED, 0), ("garbage", State.PREPARED, 0)],
)
def test_a_purchase_without_an_answer_is_asked_about_and_never_made_twice(carrier: Books, fault, after, labels):
    shipment = parcel()
    rate = services.shipment_rates(shipment)[0]
    carrier.faults = [fault]
    with pytest.raises(CarrierUnreachable):
        services.label_buy(shipment.pk, rate)
    assert state(shipment)[0] == State.BUYING
    with pytest.raises(ShipmentRefused):
        services.label_buy(shipment.pk, rate)
    with pytest.raises(ShipmentRefused):
        services.shipment_cancel(shipment.pk, actor="staff")
    assert services.labels_settle(quiet_seconds=60) == 0
    assert services.labels_settle(quiet_seconds=-1) == 1
    assert state(shipment)[0] == after and len(carrier.bought) == labels


@pytest.mark.parametrize("status", NOT_STANDING)
def test_an_order_that_does_not_stand_gets_no_label(admin_client, settings, carrier: Books, status):
    shipment = parcel()
    rate = services.shipment_rates(shipment)[0]
    carrier.asked.clear()
    Order.objects.update(status=status)
    with pytest.raises(ShipmentRefused, match="needs no label"):
        services.label_buy(shipment.pk, rate)
    data = {"action": "buy_label", "_selected_action": [shipment.pk]}
    answer = admin_client.post(f"/{settings.ADMIN_URL_PATH}/shipments/shipment/", data, follow=True)
    assert "needs no label" in answer.content.decode()
    assert state(shipment)[0] == State.PREPARED and carrier.asked == carrier.bought == []


@pytest.mark.parametrize("status", NOT_STANDING)
def test_the_parcel_of_an_order_that_does_not_stand_does_not_leave(status):
    shipment = parcel("own")
    Order.objects.update(status=status)
    with pytest.raises(ShipmentRefused, match="does not stand"):
        services.shipment_send(shipment.pk, actor="staff")
    assert state(shipment) == (State.PREPARED, status)


def test_refunded_pieces_get_no_label(carrier: Books):
    order = make_paid(make_order((make_variant(), 3))).order
    shipment = services.shipment_prepare(order.pk, carrier="shippo")
    rate = services.shipment_rates(shipment)[0]
    order_refund(order.pk, 1000, "Out of filament.", actor="staff", pieces=[Piece(order.lines.get(), 1)])
    with pytest.raises(ShipmentRefused, match="pack this parcel anew"):
        services.label_buy(shipment.pk, rate)
    assert state(shipment)[0] == State.PREPARED and carrier.bought == []


@pytest.mark.parametrize("problem", [CarrierUnreachable("no answer"), ValueError("nonsense")])
def test_a_label_that_stays_unknown_hides_no_other(carrier: Books, monkeypatch, problem):
    stuck, other = parcel(), parcel()
    for shipment in (stuck, other):
        rate = services.shipment_rates(shipment)[0]
        carrier.faults = ["drop"]
        with pytest.raises(CarrierUnreachable):
            services.label_buy(shipment.pk, rate)
    settle = services.label_settle

    def ask(shipment: Shipment) -> None:
        if shipment.pk == stuck.pk:
            raise problem
        settle(shipment)

    monkeypatch.setattr(services, "label_settle", ask)
    assert [services.labels_settle(quiet_seconds=-1, limit=1) for _ in range(2)] == [0, 1]
    assert (state(stuck)[0], state(other)[0]) == (State.BUYING, State.LABELLED)


@pytest.mark.parametrize("fault", ["refuse", "error"])
def test_a_refused_purchase_can_be_tried_again(carrier: Books, fault):
    shipment = parcel()
    rate = services.shipment_rates(shipment)[0]
    carrier.faults = [fault]
    with pytest.raises(CarrierRefused):
        services.label_buy(shipment.pk, rate)
    shipment.refresh_from_db()
    assert shipment.state == State.PREPARED and shipment.error
    assert services.label_buy(shipment.pk, rate).state == State.LABELLED


def test_without_a_key_nothing_is_asked(settings):
    settings.GOSHIPPO = replace(settings.GOSHIPPO, api_key="")
    with pytest.raises(CarrierRefused, match="GOSHIPPO_API_KEY"):
        services.shipment_rates(parcel())


def test_our_own_table_is_a_carrier_too():
    make_zone({"name": "Post", "bands": [(500, 700)]})
    shipment = parcel("own")
    [rate] = services.shipment_rates(shipment)
    assert (rate.name, rate.price_minor) == ("Post", 700)
    assert services.label_buy(shipment.pk, rate).state == State.LABELLED


STEPS = (
    ("PRE_TRANSIT", "2026-11-20T08:00:00Z"),
    ("TRANSIT", "2026-11-21T08:00:00Z"),
    ("DELIVERED", "2026-11-22T08:00:00Z"),
)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_messages_in_any_order_and_twice_end_the_same(client, carrier: Books, order):
    shipment = labelled()
    for index in [*order, *order]:
        body, signature = signed(told(shipment.tracking_number, STEPS[index]))
        answer = tell(client, body, signature)
        assert answer.status_code == 200
    assert state(shipment) == (State.DELIVERED, Status.DELIVERED)
    assert TrackingEvent.objects.count() == 3


def tell(client, body: bytes, signature: str):
    return client.post(
        "/webhooks/shippo/", body, content_type="application/json", headers={"Shippo-Auth-Signature": signature}
    )


def test_only_signed_fresh_messages_are_believed(client, carrier: Books, settings):
    shipment = labelled()
    message = told(shipment.tracking_number, STEPS[2])
    body, good = signed(message)
    for answer in (
        tell(client, body, ""),
        tell(client, body, "t=1,v1=é"),
        tell(client, body, good[:-1] + ("0" if good[-1] != "0" else "1")),
        tell(client, body + b" ", good),
        tell(client, *signed(message, secret="another")),
        tell(client, *signed(message, at=time.time() - 301)),
        tell(client, *signed({**message, "test": False})),
        tell(client, *signed({"event": "track_updated", "test": True, "data": {}})),
        tell(client, *signed({"event": "track_updated", "test": True})),
    ):
        assert answer.status_code == 400
    assert not TrackingEvent.objects.exists()
    assert tell(client, *signed({"event": "transaction_created", "test": True, "data": {}})).status_code == 200
    assert tell(client, *signed(told("unknown", STEPS[2]))).json() == {"received": True, "new": 0}
    assert tell(client, *signed(told(shipment.tracking_number, STEPS[2], carrier="ups"))).json()["new"] == 0
    assert tell(client, body, good).json()["new"] == 1
    assert client.get("/webhooks/shippo/").status_code == 405


def test_without_a_secret_nobody_is_believed(client):
    assert tell(client, *signed(told("1", STEPS[0]), secret="")).status_code == 400


def test_tracking_can_be_asked_for(carrier: Books):
    shipment = labelled()
    carrier.tracks["usps", shipment.tracking_number] = told(shipment.tracking_number, *STEPS[:2])["data"]
    assert services.tracking_record(shipment.pk, shippo.Shippo().track("usps", shipment.tracking_number)) == 2
    assert state(shipment) == (State.IN_TRANSIT, Status.SHIPPED)
    assert shippo.Shippo().track("usps", "nothing").steps == ()


def test_the_order_s_page_follows_the_parcel(client, carrier: Books, django_assert_num_queries):
    shipment = labelled()
    tell(client, *signed(told(shipment.tracking_number, *STEPS[:2])))
    page = text_of(client.get(f"/orders/{shipment.order.token}/").content.decode())
    assert shipment.tracking_number in page and "It is transit., Boston, MA, US" in page and "On its way" in page
    with django_assert_num_queries(4):
        shipments_of(shipment.order)


def test_the_slip_is_for_staff(client, admin_client, settings):
    shipment = parcel("own")
    path = f"/{settings.ADMIN_URL_PATH}/shipments/shipment/{shipment.pk}/slip/"
    assert client.get(path).status_code == 302
    page = admin_client.get(path).content.decode()
    line = shipment.order.lines.get()
    assert line.sku in page and shipment.order.number in page and "Ada Lovelace" in page and "slip.css" in page
    assert "style=" not in page and "<script" not in page
    assert admin_client.get(path.replace(f"/{shipment.pk}/", "/999999/")).status_code == 404


def test_staff_without_the_right_see_no_slip(client, django_user_model, settings):
    user = django_user_model.objects.create_user("s@example.org", "a-long-password-of-s", is_staff=True)
    client.force_login(user)
    path = f"/{settings.ADMIN_URL_PATH}/shipments/shipment/{parcel('own').pk}/slip/"
    assert client.get(path).status_code == 403


def test_staff_pack_label_and_hand_over(admin_client, settings, carrier: Books):
    base = f"/{settings.ADMIN_URL_PATH}/shipments/shipment/"
    order = paid()
    assert admin_client.get(f"{base}add/").status_code == 200
    assert admin_client.post(f"{base}add/", {"order": order.pk, "carrier": "shippo"}).status_code == 302
    shipment = Shipment.objects.get()
    refused = admin_client.post(f"{base}add/", {"order": order.pk, "carrier": "shippo"})
    assert refused.status_code == 200 and "left to pack" in refused.content.decode()
    assert admin_client.get(f"{base}{shipment.pk}/change/").status_code == 200
    for action, expected in (("buy_label", State.LABELLED), ("hand_over", State.IN_TRANSIT)):
        admin_client.post(base, {"action": action, "_selected_action": [shipment.pk]})
        assert state(shipment)[0] == expected
    assert admin_client.get(base).status_code == 200
