"""Placing an order: frozen prices, held goods, one order for one key."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from django.db import IntegrityError, connection, transaction
from testing.factories import BUYER, NO_LIMIT, make_cart, make_order, make_variant

from pasargad.cart.services import cart_add
from pasargad.catalog.models import Reservation, Variant
from pasargad.orders.exceptions import CartChanged, IllegalTransition, KeyReused, OrderOver, OrderRefused
from pasargad.orders.models import GIVEN_UP, TRANSITIONS, Delivery, Order, OrderEvent, Status
from pasargad.orders.services import order_lock, order_move, order_place

KEY = "a" * 32
PICKUP = replace(BUYER, delivery="pickup")


def place(cart, **changes):
    values = {"buyer": BUYER, "key": KEY, "agreed_total_minor": NO_LIMIT} | changes
    return order_place(cart, values["buyer"], key=values["key"], agreed_total_minor=values["agreed_total_minor"])


@pytest.mark.django_db
def test_an_order_keeps_what_was_bought_and_for_how_much():
    variant = make_variant(price_minor=1500, weight_grams=1200)
    order = make_order((variant, 2))
    Variant.objects.update(price_minor=9999)
    variant.product.name = "Renamed"
    variant.product.save()
    [line] = order.lines.all()
    assert (line.unit_price_minor, line.total_minor, line.quantity) == (1500, 3000, 2)
    assert line.product_name != "Renamed"
    # 5.00 and 2.50 for each of the three kilograms begun.
    assert (order.subtotal_minor, order.shipping_minor, order.total_minor) == (3000, 1250, 4250)


@pytest.mark.django_db
def test_an_order_holds_its_goods_and_empties_the_cart():
    variant = make_variant(stock=3)
    cart = make_cart((variant, 2))
    order = place(cart)
    variant.refresh_from_db()
    held = Reservation.objects.get()
    assert (variant.reserved, variant.available) == (2, 1)
    assert (held.reference, held.expires_at) == (order.reference, order.expires_at)
    assert not cart.lines.exists()


@pytest.mark.django_db
def test_goods_made_to_order_hold_no_stock():
    order = make_order((make_variant(stock=0, made_to_order=True, lead_days=3), 4))
    assert not Reservation.objects.exists()
    assert order.lines.get().lead_days == 3


@pytest.mark.django_db
def test_the_same_key_gives_the_same_order_and_other_contents_are_refused():
    cart = make_cart((make_variant(), 1))
    order = place(cart)
    assert place(cart).pk == order.pk
    with pytest.raises(KeyReused):
        place(cart, buyer=replace(BUYER, name="Somebody Else"))


@pytest.mark.django_db
@pytest.mark.parametrize("status", Status)
def test_the_key_of_an_order_that_was_given_up_gives_it_to_nobody(status):
    variant = make_variant()
    cart = make_cart((variant, 1))
    order = place(cart)
    cart_add(cart, variant, 2)
    Order.objects.update(status=status)
    if status not in GIVEN_UP:
        assert place(cart).pk == order.pk
    for name in ("Ada Lovelace", "Somebody Else"):
        if status in GIVEN_UP:
            with pytest.raises(OrderOver, match=order.number):
                place(cart, buyer=replace(BUYER, name=name))
    assert Order.objects.count() == 1 and cart.lines.get().quantity == 2
    if status in GIVEN_UP:
        assert place(cart, key="b" * 32).pk != order.pk


@pytest.mark.django_db
def test_a_price_that_rose_is_a_question_and_one_that_fell_is_not():
    variant = make_variant(price_minor=1000)
    cart = make_cart((variant, 1))
    agreed = 1750
    Variant.objects.update(price_minor=1001)
    with pytest.raises(CartChanged):
        place(cart, agreed_total_minor=agreed)
    assert not Order.objects.exists() and not Reservation.objects.exists()
    Variant.objects.update(price_minor=900)
    assert place(cart, agreed_total_minor=agreed).total_minor == 1650


@pytest.mark.django_db
def test_goods_that_went_meanwhile_are_named_and_nothing_is_saved():
    variant = make_variant(stock=1)
    cart = make_cart((variant, 1))
    make_order((variant, 1))
    with pytest.raises(CartChanged, match=variant.product.name):
        place(cart)
    assert Order.objects.count() == 1 and cart.lines.count() == 1


@pytest.mark.django_db
def test_an_empty_cart_makes_no_order():
    with pytest.raises(OrderRefused):
        place(make_cart())


@pytest.mark.django_db
def test_placing_takes_few_queries(django_assert_max_num_queries):
    cart = make_cart((make_variant(), 1), (make_variant(), 2), (make_variant(), 1))
    with django_assert_max_num_queries(14) as captured:
        place(cart)
    statements = [query["sql"] for query in captured if "SAVEPOINT" not in query["sql"]]
    assert len(statements) <= 12, "\n".join(statements)


@pytest.mark.django_db(transaction=True)
def test_two_clicks_at_once_make_one_order():
    cart = make_cart((make_variant(), 1))
    start, placed, failures = threading.Barrier(8), [], []

    def click() -> None:
        try:
            connection.ensure_connection()
            start.wait(10)
            placed.append(place(cart).pk)
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=click) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not failures and len(set(placed)) == 1 and len(placed) == 8
    assert Order.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_many_carts_for_the_last_piece_make_one_order():
    variant = make_variant(stock=1)
    carts = [make_cart((variant, 1)) for _ in range(8)]
    start, placed = threading.Barrier(8), []

    def buy(cart) -> None:
        try:
            connection.ensure_connection()
            start.wait(10)
            placed.append(place(cart).pk)
        except CartChanged:
            pass
        finally:
            connection.close()

    threads = [threading.Thread(target=buy, args=(cart,)) for cart in carts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(placed) == Order.objects.count() == Reservation.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("before", Status)
@pytest.mark.parametrize("after", Status)
@pytest.mark.parametrize("delivery", Delivery)
def test_only_the_table_s_steps_are_possible(before, after, delivery):
    order = make_order()
    Order.objects.filter(pk=order.pk).update(status=before, delivery=delivery)
    locked = order_lock(order.pk)
    foreign = Status.SHIPPED if delivery == Delivery.PICKUP else Status.READY_FOR_PICKUP
    assert locked.may_become(after) == (after in TRANSITIONS[before] and after != foreign)
    if locked.may_become(after):
        order_move(locked, after, actor="test")
        last = OrderEvent.objects.filter(order=order).last()
        assert (last.before, last.after) == (before, after)
    else:
        reason = "is to be" if after in TRANSITIONS[before] else f"is {before.label.lower()} and"
        with pytest.raises(IllegalTransition, match=reason):
            order_move(locked, after, actor="test")
        assert Order.objects.get().status == before


@pytest.mark.django_db
def test_a_stale_copy_cannot_move_an_order():
    order = make_order()
    stale = Order.objects.get(pk=order.pk)
    order_move(order_lock(order.pk), Status.CANCELLED, actor="test")
    with pytest.raises(IllegalTransition):
        order_move(stale, Status.PAID, actor="test")


@pytest.mark.django_db
def test_the_database_refuses_a_total_that_does_not_add_up():
    order = make_order()
    with pytest.raises(IntegrityError), transaction.atomic():
        Order.objects.filter(pk=order.pk).update(total_minor=1)


@pytest.mark.django_db
@pytest.mark.parametrize(("price", "placed"), [(49, False), (50, True)])
def test_what_the_payment_provider_would_not_take_is_refused_before_there_is_an_order(price, placed):
    variant = make_variant(price_minor=price)
    cart = make_cart((variant, 1))
    if placed:
        assert place(cart, buyer=PICKUP).total_minor == price
        return
    with pytest.raises(OrderRefused, match=r"\$0\.50"):
        place(cart, buyer=PICKUP)
    variant.refresh_from_db()
    assert not Order.objects.exists() and variant.reserved == 0 and cart.lines.exists()
