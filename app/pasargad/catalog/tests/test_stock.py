"""The last piece is sold once: real connections, real threads, and proof that the race is real."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from testing.factories import make_variant

from pasargad.catalog.exceptions import OutOfStock
from pasargad.catalog.models import Reservation, StockMovement, Variant
from pasargad.catalog.stock import stock_commit, stock_move, stock_release, stock_reserve

BUYERS = 16


def later():
    return timezone.now() + timedelta(hours=1)


def race(buy: Callable[[int], None], buyers: int = BUYERS) -> int:
    """Let buyers start at the same moment, each in a thread and connection of its own; returns how many got it."""
    start, results, failures = threading.Barrier(buyers), [], []

    def run(number: int) -> None:
        try:
            connection.ensure_connection()
            start.wait(10)
            with transaction.atomic():
                buy(number)
            results.append(number)
        except OutOfStock:
            pass
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(buyers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not failures, failures
    return len(results)


def active(variant: Variant) -> int:
    rows = Reservation.objects.filter(variant=variant, state="active")
    return sum(rows.values_list("quantity", flat=True))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("stock", [1, 3, 10])
def test_buyers_at_once_get_exactly_the_stock(stock):
    variant = make_variant(stock=stock)
    won = race(lambda n: stock_reserve({variant.pk: 1}, reference=f"r{n}", expires_at=later()))
    variant.refresh_from_db()
    assert (won, variant.reserved, active(variant)) == (stock, stock, stock)


@pytest.mark.django_db(transaction=True)
def test_without_the_guard_the_same_race_oversells():
    """The negative control: if this sees no oversell, the test above proves nothing."""
    variant = make_variant(stock=1)
    everybody_read = threading.Barrier(BUYERS)

    def naive(number: int) -> None:
        found = Variant.objects.get(pk=variant.pk)
        everybody_read.wait(10)
        if found.available < 1:
            raise OutOfStock({variant.pk})
        Variant.objects.filter(pk=variant.pk).update(reserved=found.reserved + 1)
        Reservation.objects.create(variant=variant, quantity=1, reference=f"r{number}", expires_at=later())

    won = race(naive)
    assert won == active(variant) == BUYERS


@pytest.mark.django_db(transaction=True)
def test_two_goods_in_opposite_orders_never_deadlock():
    first, second = make_variant(stock=8), make_variant(stock=8)

    def buy(number: int) -> None:
        pair = [first.pk, second.pk] if number % 2 else [second.pk, first.pk]
        stock_reserve(dict.fromkeys(pair, 1), reference=f"r{number}", expires_at=later())

    assert race(buy) == 8
    for variant in (first, second):
        variant.refresh_from_db()
        assert variant.reserved == active(variant) == 8


@pytest.mark.django_db(transaction=True)
def test_release_and_commit_at_once_happen_once():
    variant = make_variant(stock=2)
    with transaction.atomic():
        stock_reserve({variant.pk: 2}, reference="order:1", expires_at=later())
    done = []

    def end(number: int) -> None:
        if (stock_commit if number % 2 else stock_release)("order:1"):
            done.append("commit" if number % 2 else "release")

    race(end)
    variant.refresh_from_db()
    assert len(done) == 1
    assert (variant.reserved, variant.on_hand) == ((0, 0) if done == ["commit"] else (0, 2))


@pytest.mark.django_db
def test_a_short_article_holds_nothing_of_the_others():
    plenty, short = make_variant(stock=5), make_variant(stock=1)
    with pytest.raises(OutOfStock) as refused:
        stock_reserve({plenty.pk: 1, short.pk: 2}, reference="r", expires_at=later())
    plenty.refresh_from_db()
    assert refused.value.variant_ids == {short.pk}
    assert plenty.reserved == 0 and not Reservation.objects.exists()


@pytest.mark.django_db
def test_stock_is_the_sum_of_its_movements():
    variant = make_variant(stock=7)
    stock_reserve({variant.pk: 3}, reference="order:1", expires_at=later())
    stock_commit("order:1")
    stock_move(variant.pk, -1, kind="corrected", note="broken")
    variant.refresh_from_db()
    moved = sum(StockMovement.objects.filter(variant=variant).values_list("quantity", flat=True))
    assert variant.on_hand == moved == 3


@pytest.mark.django_db
def test_a_correction_cannot_take_what_is_held():
    variant = make_variant(stock=2)
    stock_reserve({variant.pk: 2}, reference="order:1", expires_at=later())
    with pytest.raises(OutOfStock):
        stock_move(variant.pk, -1, kind="corrected")


@pytest.mark.django_db
@pytest.mark.parametrize("changes", [{"reserved": 6}, {"on_hand": -1}, {"reserved": -1}])
def test_the_database_refuses_books_that_do_not_add_up(changes):
    variant = make_variant(stock=5)
    with pytest.raises(IntegrityError), transaction.atomic():
        Variant.objects.filter(pk=variant.pk).update(**changes)


@pytest.mark.django_db(transaction=True)
def test_stock_is_not_touched_outside_a_transaction():
    variant = make_variant()
    with pytest.raises(transaction.TransactionManagementError):
        stock_reserve({variant.pk: 1}, reference="r", expires_at=later())


@pytest.mark.django_db
def test_several_rows_are_locked_in_ascending_order_before_any_is_changed():
    """What keeps opposite orders from waiting for each other must not depend on the plan of one UPDATE."""
    variants = [make_variant() for _ in range(3)]
    with CaptureQueriesContext(connection) as captured:
        stock_reserve({variant.pk: 1 for variant in reversed(variants)}, reference="r", expires_at=later())
    locking, changing = captured[0]["sql"], captured[1]["sql"]
    assert locking.startswith('SELECT "catalog_variant"."id"') and locking.endswith("ORDER BY 1 ASC FOR UPDATE")
    assert "UPDATE catalog_variant" in changing
