"""What cost nothing waits for no payment and has no money to give back; it can be cancelled all the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.db import transaction
from django.urls import reverse
from testing.factories import BUYER, NO_LIMIT, make_cart, make_coupon, make_variant
from testing.money import make_paid
from testing.staff import log_in

from pasargad.books.oracles import check
from pasargad.cart.services import cart_coupon_set
from pasargad.catalog.models import StockMovement, Variant
from pasargad.notifications.models import Mail
from pasargad.orders.exceptions import IllegalTransition
from pasargad.orders.models import Order, Status
from pasargad.orders.presenting import order_view
from pasargad.orders.services import order_cancel, order_lock, order_move, order_place
from pasargad.payments.services import order_withdraw
from pasargad.promotions.models import Coupon
from pasargad.shipments.exceptions import ShipmentRefused
from pasargad.shipments.services import shipment_prepare, shipment_send

pytestmark = pytest.mark.django_db


@pytest.fixture
def free() -> Order:
    """Two pieces from stock and one that is made to order, for a coupon that takes everything off."""
    make_coupon("GIFT", limit=1, basis_points=10_000)
    made = make_variant(stock=0, made_to_order=True, lead_days=3)
    cart = make_cart((make_variant(stock=5), 2), (made, 1))
    cart_coupon_set(cart, "GIFT")
    order = order_place(cart, replace(BUYER, delivery="pickup"), key="f" * 32, agreed_total_minor=NO_LIMIT)
    Order.objects.filter(pk=order.pk).update(delivery="shipping")
    order.refresh_from_db()
    assert (order.total_minor, order.status) == (0, Status.PAID) and check() == []
    return order


def all_is_given_back() -> bool:
    shelf = Variant.objects.get(made_to_order=False)
    moved = StockMovement.objects.exclude(kind="received").order_by("pk").values_list("kind", "quantity")
    return (
        (shelf.on_hand, shelf.reserved, Coupon.objects.get().used) == (5, 0, 0)
        and list(moved) == [("sold", -2), ("returned", 2)]
        and check() == []
    )


def test_the_shopper_cancels_it_and_goods_and_coupon_are_free_again(client, free):
    assert order_view(free).can_cancel and not order_view(free).can_pay
    address = reverse("order_cancel", args=[free.token])
    assert address in client.get(reverse("order", args=[free.token])).content.decode()
    answer = client.post(address)
    assert answer.headers["Location"].endswith("?done=restored")
    assert Order.objects.get().status == Status.CANCELLED and all_is_given_back()
    assert Mail.objects.filter(kind="order_cancelled").count() == 1
    client.post(address)
    assert all_is_given_back(), "a second click gives nothing back again"


def test_once_it_is_begun_only_staff_cancel_it(client, free):
    with transaction.atomic():
        order_move(order_lock(free.pk), Status.PROCESSING, actor="staff")
    assert not order_view(Order.objects.get()).can_cancel
    assert order_withdraw(free.pk, actor="shopper").status == Status.PROCESSING
    log_in(client, "support")
    step = reverse("admin:orders_order_step", args=[free.pk, "cancel"])
    assert step in client.get(reverse("admin:orders_order_work", args=[free.pk])).content.decode()
    assert client.post(step).status_code == 303
    assert Order.objects.get().status == Status.CANCELLED and all_is_given_back()


def test_what_has_left_the_house_is_not_cancelled(free):
    line = free.lines.get(made_to_order=False)
    sent = shipment_prepare(free.pk, quantities={line.pk: 1})
    shipment_send(sent.pk, actor="staff")
    assert not order_view(Order.objects.get()).can_cancel
    assert order_withdraw(free.pk, actor="staff", begun=True).status == Status.PAID
    with transaction.atomic(), pytest.raises(IllegalTransition, match="cannot be cancelled"):
        order_cancel(order_lock(free.pk), actor="staff")
    assert check() == []


def test_a_parcel_that_was_packed_before_does_not_leave(free):
    packed = shipment_prepare(free.pk)
    assert order_withdraw(free.pk, actor="shopper").status == Status.CANCELLED
    with pytest.raises(ShipmentRefused):
        shipment_send(packed.pk, actor="staff")
    assert all_is_given_back()


def test_what_was_paid_for_is_refunded_and_not_cancelled():
    order = make_paid().order
    assert not order_view(order).can_cancel
    assert order_withdraw(order.pk, actor="staff", begun=True).status == Status.PAID
    with transaction.atomic(), pytest.raises(IllegalTransition, match="cannot be cancelled"):
        order_cancel(order_lock(order.pk), actor="staff")
    assert check() == []
