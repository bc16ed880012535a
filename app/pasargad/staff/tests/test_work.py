"""An order's work page: steps that the services allow, each asked about, done once, said in words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.db import transaction
from django.urls import reverse
from testing.api import with_key
from testing.carrier import Books
from testing.factories import BUYER, make_order, make_variant
from testing.money import make_paid
from testing.shopper import text_of
from testing.staff import log_in

from pasargad.api.scopes import Scope
from pasargad.audit.masking import MASK
from pasargad.audit.models import Entry
from pasargad.books.oracles import check
from pasargad.catalog.models import StockMovement
from pasargad.catalog.stock import stock_move
from pasargad.orders.models import Order, Status
from pasargad.orders.services import order_lock, order_move
from pasargad.reviews.services import review_write
from pasargad.shipments.models import Shipment
from pasargad.shipments.services import shipment_prepare
from pasargad.staff.work import ORDER_STEPS

pytestmark = pytest.mark.django_db


def paid(*lines, **buyer) -> Order:
    return make_paid(make_order(*(lines or ((make_variant(stock=9), 2),)), buyer=replace(BUYER, **buyer))).order


def page(client, order: Order) -> str:
    return client.get(reverse("admin:orders_order_work", args=[order.pk])).content.decode()


def step(order: Order, name: str) -> str:
    return reverse("admin:orders_order_step", args=[order.pk, name])


def parcel_step(parcel: Shipment, name: str) -> str:
    return reverse("admin:orders_order_parcel", args=[parcel.order_id, parcel.pk, name])


def test_an_order_is_led_from_the_payment_to_the_delivery(client):
    log_in(client, "packing")
    order = paid((make_variant(stock=9), 3))
    line = order.lines.get()
    shown = page(client, order)
    assert step(order, "pack") in shown and step(order, "delivered") not in shown and step(order, "cancel") not in shown
    assert "Ada Lovelace" in shown and "1 Engine Street" in shown and line.sku in shown
    asked = client.get(step(order, "start"))
    assert asked.status_code == 200 and Order.objects.get().status == Status.PAID, "asking changes nothing"
    assert client.post(step(order, "start")).status_code == 303
    assert client.post(step(order, "pack"), {f"pieces_{line.pk}": "2", "carrier": "own"}).status_code == 303
    assert client.post(step(order, "pack"), {f"pieces_{line.pk}": "1", "carrier": "own"}).status_code == 303
    first, second = Shipment.objects.all()
    assert client.post(parcel_step(first, "send"), {"tracking_number": "T-1"}).status_code == 303
    assert Order.objects.get().status == Status.PROCESSING
    assert client.post(parcel_step(second, "send"), {"tracking_number": ""}).status_code == 303
    assert Order.objects.get().status == Status.SHIPPED and Shipment.objects.get(pk=first.pk).tracking_number == "T-1"
    assert client.post(step(order, "delivered")).status_code == 303
    assert Order.objects.get().status == Status.DELIVERED and check() == []
    history = text_of(page(client, order))
    assert "Delivered by packing@staff.example" in history
    acts = list(Entry.objects.filter(action__in=("moved", "packed", "sent")).order_by("id"))
    assert [act.action for act in acts] == ["moved", "packed", "packed", "sent", "sent", "moved"]
    assert acts[0].changes == {"status": ["paid", "processing"]} and acts[0].target == order.number
    assert {act.actor for act in acts} == {"packing@staff.example"} and acts[0].address == "127.0.0.1"


def test_a_second_click_is_told_that_the_order_has_moved_on(client):
    log_in(client, "packing")
    order = paid()
    client.post(step(order, "start"))
    answer = client.post(step(order, "start"), follow=True)
    assert "has moved on" in answer.content.decode() and order.events.filter(after="processing").count() == 1


def test_what_a_service_refuses_is_said_in_words_and_leaves_no_trace(client, monkeypatch):
    log_in(client, "packing")
    order = paid((make_variant(stock=9), 2))
    line = order.lines.get()
    parcels = Shipment.objects.count()
    monkeypatch.setattr("pasargad.staff.forms.pieces_left", lambda order: {line.pk: 5})
    answer = client.post(step(order, "pack"), {f"pieces_{line.pk}": "3", "carrier": "own"})
    assert answer.status_code == 422 and "not so many pieces left to pack" in answer.content.decode()
    assert 'value="3"' in answer.content.decode() and Shipment.objects.count() == parcels
    assert not Entry.objects.filter(action="packed").exists()


@pytest.mark.parametrize("pieces", ["0", "-1", "3", "x", "", "99999999999999999999"])
def test_a_parcel_of_nonsense_is_refused_with_what_was_typed(client, pieces):
    log_in(client, "packing")
    order = paid((make_variant(stock=9), 2))
    answer = client.post(step(order, "pack"), {f"pieces_{order.lines.get().pk}": pieces, "carrier": "own"})
    assert answer.status_code == 422 and not Shipment.objects.exists()
    assert 'role="alert"' in answer.content.decode()


def test_foreign_and_unknown_things_do_not_exist(client):
    log_in(client, "manager")
    mine, other = paid(), paid()
    parcel = shipment_prepare(mine.pk)
    review = review_of(other)
    for url in (
        reverse("admin:orders_order_work", args=[0]),
        step(mine, "nothing"),
        reverse("admin:orders_order_parcel", args=[other.pk, parcel.pk, "send"]),
        reverse("admin:orders_order_parcel", args=[mine.pk, parcel.pk, "nothing"]),
        reverse("admin:orders_order_review", args=[mine.pk, review.pk, "approve"]),
        reverse("admin:orders_order_picking"),
        f"{reverse('admin:orders_order_picking')}?orders=1e3,²,-1,{'9' * 30}",
        f"{reverse('admin:orders_order_slips')}?orders=0",
    ):
        assert client.get(url).status_code == 404, url
        assert client.post(url).status_code == 404, url


def review_of(order: Order):
    with transaction.atomic():
        order_move(order_lock(order.pk), Status.SHIPPED, actor="test")
    order.refresh_from_db()
    product = order.lines.get().variant.product_id
    return review_write(order=order, product_id=product, rating=4, author="Ada", text="Good")


def test_without_the_token_of_the_form_nothing_happens():
    from django.test import Client

    client = Client(enforce_csrf_checks=True)
    log_in(client, "packing")
    order = paid()
    assert client.post(step(order, "start")).status_code == 403 and Order.objects.get().status == Status.PAID


def test_an_unpaid_order_is_cancelled_and_a_paid_one_is_not(client, monkeypatch):
    log_in(client, "support")
    order = make_order((variant := make_variant(stock=2), 2))
    assert step(order, "cancel") in page(client, order)
    assert client.post(step(order, "cancel")).status_code == 303
    variant.refresh_from_db()
    assert Order.objects.get().status == Status.CANCELLED and variant.reserved == 0 and check() == []
    assert Entry.objects.filter(action="began cancel", target=order.number).exists()
    paid_meanwhile = make_order((make_variant(), 1))
    attempt = make_paid(paid_meanwhile)
    monkeypatch.setitem(ORDER_STEPS, "cancel", replace(ORDER_STEPS["cancel"], opens=lambda order: True))
    answer = client.post(step(paid_meanwhile, "cancel"))
    assert answer.status_code == 422 and "it is paid" in answer.content.decode() and attempt.order_id


def test_an_order_for_pickup_is_prepared_and_handed_out(client):
    log_in(client, "packing")
    order = paid(delivery="pickup")
    shown = page(client, order)
    assert step(order, "ready") in shown and step(order, "pack") not in shown and "The buyer collects it" in shown
    client.post(step(order, "ready"))
    client.post(step(order, "delivered"))
    assert Order.objects.get().status == Status.DELIVERED


@pytest.mark.parametrize(
    ("delivery", "foreign", "words"),
    [("pickup", "shipped", "is to be collected"), ("shipping", "ready_for_pickup", "is to be sent")],
)
def test_what_is_collected_is_never_shipped_and_the_other_way_round(client, delivery, foreign, words):
    log_in(client, "manager")
    order = paid(delivery=delivery)
    shown = page(client, order)
    assert (step(order, "ready") in shown) == (delivery == "pickup")
    assert (step(order, "pack") in shown) == (delivery == "shipping")
    api = with_key(Scope.ORDERS_WRITE)
    refused = api.post(f"/staff/orders/{order.number}/status", {"status": foreign})
    assert refused.status_code == 409 and words in refused.json()["detail"]
    action = {"ready_for_pickup": "ready_for_pickup", "shipped": "ship"}[foreign]
    data = {"action": action, "_selected_action": [order.pk]}
    answer = client.post(reverse("admin:orders_order_changelist"), data, follow=True)
    assert words in answer.content.decode()
    assert Order.objects.get().status == Status.PAID


def test_a_parcel_is_unpacked_until_it_leaves(client):
    log_in(client, "packing")
    order = paid()
    parcel = shipment_prepare(order.pk)
    assert client.post(parcel_step(parcel, "unpack")).status_code == 303
    assert Shipment.objects.get().state == "cancelled" and step(order, "pack") in page(client, order)
    parcel = shipment_prepare(order.pk)
    client.post(parcel_step(parcel, "send"), {"tracking_number": "x"})
    assert "has moved on" in client.post(parcel_step(parcel, "unpack"), follow=True).content.decode()


def test_a_label_is_bought_at_the_price_that_was_seen(client, carrier: Books):
    log_in(client, "packing")
    parcel = shipment_prepare(paid().pk, carrier="shippo")
    shown = client.get(parcel_step(parcel, "label")).content.decode()
    offers = [part.split('"')[0] for part in shown.split('name="offer" value="')[1:]]
    assert offers
    name, _, price = offers[0].rpartition(":")
    cheaper = client.post(parcel_step(parcel, "label"), {"offer": f"{name}:{int(price) - 1}"})
    assert cheaper.status_code == 422 and "price has risen" in cheaper.content.decode()
    for nonsense in ("", "x", "x:y", f"{name}:", f"{name}:{'9' * 40}", "no:such:1"):
        assert client.post(parcel_step(parcel, "label"), {"offer": nonsense}).status_code == 422
    assert Shipment.objects.get().state == "prepared"
    assert client.post(parcel_step(parcel, "label"), {"offer": offers[0]}).status_code == 303
    assert Shipment.objects.get().state == "labelled" and Shipment.objects.get().tracking_number
    assert Entry.objects.filter(action="began label").count() == 1
    assert (
        "has moved on" in client.post(parcel_step(parcel, "label"), {"offer": offers[0]}, follow=True).content.decode()
    )


def test_a_carrier_that_is_away_is_said_so(client, settings):
    settings.GOSHIPPO = replace(settings.GOSHIPPO, api_base="http://127.0.0.1:9")
    log_in(client, "packing")
    parcel = shipment_prepare(paid().pk, carrier="shippo")
    answer = client.get(parcel_step(parcel, "label"), follow=True)
    assert answer.redirect_chain and "Buy a label:" in answer.content.decode()


def test_reviews_are_shown_hidden_and_answered(client):
    log_in(client, "support")
    order = paid()
    review = review_of(order)
    url = lambda name: reverse("admin:orders_order_review", args=[order.pk, review.pk, name])  # noqa: E731
    assert url("approve") in page(client, order)
    assert client.post(url("approve")).status_code == 303
    assert client.post(url("reply"), {"reply": "Thank you <b>much</b>"}).status_code == 303
    review.refresh_from_db()
    assert (review.status, review.reply) == ("approved", "Thank you <b>much</b>")
    assert "&lt;b&gt;" in page(client, order)
    client.post(url("reject"))
    review.refresh_from_db()
    assert review.status == "rejected" and review.product.rating_count == 0 and check() == []
    assert client.post(url("reply"), {"reply": "x" * 2001}).status_code == 422
    reply = Entry.objects.filter(target_type="reviews.review", changes__has_key="reply").latest("id")
    assert reply.changes["reply"] == ["", MASK]


def test_the_picking_list_counts_what_is_not_packed(client):
    log_in(client, "packing")
    variant = make_variant(stock=20, sku="SKU-PICK")
    first, second = paid((variant, 2)), paid((variant, 3))
    shipment_prepare(second.pk, quantities={second.lines.get().pk: 1})
    action = {"action": "print_picking", "_selected_action": [first.pk, second.pk]}
    answer = client.post(reverse("admin:orders_order_changelist"), action, follow=True)
    shown = text_of(answer.content.decode())
    assert "SKU-PICK" in shown and f"{first.number}: 2" in shown and f"{second.number}: 2" in shown
    assert "<strong>4</strong>" in answer.content.decode()
    unpaid = make_order((variant, 1))
    shown = client.get(reverse("admin:orders_order_picking"), {"orders": f"{unpaid.pk}"}).content.decode()
    assert "packed already" in shown and "SKU-PICK" not in shown, "what is not paid is not taken from the shelf"
    assert Entry.objects.filter(action="began print_picking").exists()


def test_slips_are_printed_for_parcels_and_for_what_is_in_none(client):
    log_in(client, "packing")
    packed, loose, gone = paid(), paid(), paid()
    shipment_prepare(packed.pk)
    with transaction.atomic():
        order_move(order_lock(gone.pk), Status.SHIPPED, actor="test")
    action = {"action": "print_slips", "_selected_action": [packed.pk, loose.pk]}
    shown = client.post(reverse("admin:orders_order_changelist"), action, follow=True).content.decode()
    assert shown.count("<h1>Packing slip</h1>") == 2 and packed.number in shown and loose.number in shown


def test_a_slip_speaks_the_language_of_its_order(client):
    log_in(client, "packing")
    persian, english = paid(), paid()
    Order.objects.filter(pk=persian.pk).update(language="fa")
    parcel = shipment_prepare(persian.pk)
    slips = reverse("admin:orders_order_slips")
    shown = client.get(slips, {"orders": f"{persian.pk},{english.pk}"}).content.decode()
    assert '<main class="sheet" lang="fa" dir="rtl">' in shown and '<main class="sheet" lang="en">' in shown
    assert shown.count("<h1>برگهٔ بسته‌بندی</h1>") == 1 and shown.count("<h1>Packing slip</h1>") == 1
    alone = client.get(reverse("admin:shipments_slip", args=[parcel.pk])).content.decode()
    assert '<html lang="fa" dir="rtl">' in alone and "ایالات متحده" in alone


def test_stock_is_adjusted_with_a_reason_and_never_below_what_is_held(client):
    log_in(client, "packing")
    variant = make_variant(stock=5)
    make_order((variant, 3))
    address = reverse("admin:catalog_stockmovement_add")
    form = client.get(address, {"variant": variant.pk}).content.decode()
    assert "sold" not in form.split('name="kind"')[1].split("</select>")[0]

    def adjust(**values: str) -> bool:
        before = StockMovement.objects.count()
        client.post(address, {"variant": variant.pk, "kind": "corrected", "quantity": "-1", "note": "Broken"} | values)
        return StockMovement.objects.count() > before

    assert not adjust(note="") and not adjust(kind="sold") and not adjust(kind="returned")
    assert not adjust(quantity="-3") and not adjust(kind="received", quantity="-1")
    assert adjust() and adjust(kind="received", quantity="4")
    variant.refresh_from_db()
    assert variant.on_hand == 8 and check() == []
    entry = Entry.objects.filter(target_type="catalog.stockmovement").latest("id")
    assert entry.changes["quantity"] == [None, 4]


def test_stock_that_orders_took_meanwhile_is_told(client, monkeypatch):
    log_in(client, "packing")
    variant = make_variant(stock=5)
    monkeypatch.setattr("pasargad.catalog.admin.MovementForm.clean", lambda self: self.cleaned_data)
    make_order((variant, 5))
    values = {"variant": variant.pk, "kind": "corrected", "quantity": "-1", "note": "Broken"}
    answer = client.post(reverse("admin:catalog_stockmovement_add"), values, follow=True)
    assert "Nothing was changed" in answer.content.decode() and check() == []


def test_money_and_stock_are_not_edited_in_rows(client):
    log_in(client, "manager")
    variant = make_variant(stock=5)
    shown = client.get(reverse("admin:catalog_product_change", args=[variant.product_id])).content.decode()
    for name in ("on_hand", "reserved", "currency"):
        assert f'name="variants-0-{name}"' not in shown
    assert 'name="variants-0-price_minor"' in shown
    order = paid()
    frozen = client.get(reverse("admin:orders_order_change", args=[order.pk])).content.decode()
    assert "Work page" in frozen and 'name="total_minor"' not in frozen
    stock_move(variant.pk, 1, kind="received")


def test_a_new_variant_gets_the_shop_s_currency(client):
    from testing.factories import make_product

    log_in(client, "catalogue")
    product = make_product(published=False)
    address = reverse("admin:catalog_product_change", args=[product.pk])
    values = {"name": product.name, "slug": product.slug, "category": product.category_id, "state": "draft"}
    prefixes = ("variants", "attribute_values", "images", "former_slugs")
    values |= {f"{name}-{what}": "0" for name in prefixes for what in ("TOTAL_FORMS", "INITIAL_FORMS")}
    values |= {"variants-TOTAL_FORMS": "1", "variants-0-sku": "NEW-1", "variants-0-price_minor": "900",
               "variants-0-options": "[]", "variants-0-product": product.pk, "variants-0-currency": "eur"}  # fmt: skip
    for name in ("lead_days", "weight_grams", "width_mm", "depth_mm", "height_mm", "print_minutes", "position"):
        values[f"variants-0-{name}"] = "0"
    answer = client.post(address, values)
    assert answer.status_code == 302, text_of(answer.content.decode())
    assert product.variants.get().currency == "usd"
