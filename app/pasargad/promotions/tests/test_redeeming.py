"""Limits of coupons hold for any number of orders at once, and what is given up is given back."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.utils import timezone
from testing.factories import BUYER, NO_LIMIT, make_cart, make_coupon, make_promotion, make_variant

from pasargad.cart.services import cart_coupon_set
from pasargad.catalog.models import Variant
from pasargad.orders.exceptions import CartChanged, CouponGone
from pasargad.orders.models import Order, Status
from pasargad.orders.services import order_cancel, order_expire, order_lock, order_paid, order_place
from pasargad.promotions import services
from pasargad.promotions.models import Coupon, Promotion, Redemption

BUYERS, LIMIT = 50, 3


@pytest.fixture(autouse=True)
def _patience(settings):
    """Fifty threads on a busy machine wait longer than a shopper would."""
    settings.DB_LOCK_TIMEOUT_MS = 60_000


def cart_with(code: str, *, user=None, variant=None):
    cart = make_cart((variant or make_variant(price_minor=10_000, stock=100), 1))
    cart_coupon_set(cart, code)
    if user:
        cart.user = user
        cart.save()
    return cart


def place(cart, *, email="ada@example.org", agreed=NO_LIMIT, key="0" * 32):
    return order_place(cart, replace(BUYER, email=email), key=key, agreed_total_minor=agreed)


def agreed_with_coupon() -> int:
    """The total of one piece at 100.00, ten per cent off, shipped free."""
    return 9000


def change(order, action):
    with transaction.atomic():
        return action(order_lock(order.pk))


def at_once(jobs) -> list[BaseException | None]:
    """Do all at the same moment; returns what each raised."""
    start = threading.Barrier(len(jobs))
    raised: list[BaseException | None] = [None] * len(jobs)

    def run(index: int) -> None:
        try:
            connection.ensure_connection()
            start.wait(60)
            jobs[index]()
        except BaseException as error:
            raised[index] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return raised


def books() -> tuple[int, int]:
    """What the coupon counts, and what is noted."""
    return Coupon.objects.get().used, Redemption.objects.filter(state="active").count()


@pytest.mark.django_db
def test_a_coupon_takes_off_is_frozen_and_noted():
    coupon = make_coupon(limit=2, per_customer_limit=1)
    order = place(cart_with("SAVE10"), agreed=agreed_with_coupon())
    Promotion.objects.update(basis_points=9000, name="Renamed")
    order.refresh_from_db()
    assert (order.subtotal_minor, order.discount_minor, order.total_minor) == (10_000, 1000, 9000)
    assert order.coupon_code == "SAVE10"
    [found] = order.discounts
    assert (found["code"], found["minor"], found["name"] != "Renamed") == ("SAVE10", 1000, True)
    assert order.lines.get().discount_minor == 1000
    used = Redemption.objects.get()
    assert (used.coupon, used.reference, used.amount_minor, used.number) == (coupon, order.reference, 1000, 1)
    assert books() == (1, 1)


@pytest.mark.django_db
def test_an_order_takes_its_coupon_out_of_the_cart():
    make_coupon()
    cart = cart_with("SAVE10")
    place(cart)
    cart.refresh_from_db()
    assert cart.coupon_code == ""


@pytest.mark.django_db(transaction=True)
def test_fifty_at_once_use_a_coupon_as_often_as_it_may_be():
    make_coupon(limit=LIMIT)
    carts = [cart_with("SAVE10") for _ in range(BUYERS)]
    raised = at_once([
        lambda cart=cart, number=number: place(cart, email=f"b{number}@example.org", agreed=agreed_with_coupon())
        for number, cart in enumerate(carts)
    ])  # fmt: skip
    assert sum(error is None for error in raised) == LIMIT
    assert all(error is None or isinstance(error, CartChanged) for error in raised), raised
    # Some found it used up when they asked for the price; those that the guard is for, only when they took it.
    assert any(isinstance(error, CouponGone) for error in raised)
    assert books() == (LIMIT, LIMIT)
    assert Order.objects.count() == LIMIT == Order.objects.filter(discount_minor=1000).count()
    # Those who came too late hold no goods either.
    assert sum(Variant.objects.values_list("reserved", flat=True)) == LIMIT


@pytest.mark.django_db(transaction=True)
def test_without_the_guard_the_race_is_seen(monkeypatch):
    """The negative control: these threads do meet, so the test above can fail."""
    make_coupon(limit=LIMIT)
    monkeypatch.setattr(services, "WITHIN_LIMIT", "true")
    carts = [cart_with("SAVE10") for _ in range(BUYERS)]
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE promotions_coupon DROP CONSTRAINT promotions_limit")
    try:
        at_once([
            lambda cart=cart, number=number: place(cart, email=f"b{number}@example.org", agreed=agreed_with_coupon())
            for number, cart in enumerate(carts)
        ])  # fmt: skip
        assert books()[0] > LIMIT
    finally:
        Redemption.objects.all().delete()
        Coupon.objects.all().update(used=0)
        with connection.cursor() as cursor:
            cursor.execute(
                "ALTER TABLE promotions_coupon ADD CONSTRAINT promotions_limit "
                'CHECK ("limit" IS NULL OR used <= "limit")'
            )


@pytest.mark.django_db(transaction=True)
def test_one_customer_at_once_in_many_carts_with_many_coupons_of_one_promotion():
    promotion = make_promotion(per_customer_limit=2)
    for number in range(12):
        Coupon.objects.create(promotion=promotion, code=f"ONE-{number}", limit=1)
    carts = [cart_with(f"ONE-{number}") for number in range(12)]
    emails = ["ada@gmail.com", "ADA@gmail.com", "a.d.a@gmail.com", "ada+x@googlemail.com"]
    raised = at_once([
        lambda cart=cart, number=number: place(cart, email=emails[number % 4], agreed=agreed_with_coupon())
        for number, cart in enumerate(carts)
    ])  # fmt: skip
    assert sum(error is None for error in raised) == 2
    assert sorted(Redemption.objects.values_list("number", flat=True)) == [1, 2]
    assert sum(Coupon.objects.values_list("used", flat=True)) == 2


@pytest.mark.django_db(transaction=True)
def test_two_first_orders_at_once_are_one():
    make_promotion(first_order_only=True, is_automatic=True)
    # An account has one cart; two accounts of one mailbox meet.
    users = [get_user_model().objects.create_user(f"ada+{number}@example.org") for number in range(8)]
    carts = [cart_with("", user=user) for user in users]
    raised = at_once([lambda cart=cart: place(cart, agreed=agreed_with_coupon()) for cart in carts])
    assert sum(error is None for error in raised) == 1
    assert Order.objects.filter(discount_minor__gt=0).count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("action", [order_expire, lambda order: order_cancel(order, actor="shopper")])
def test_what_is_given_up_gives_its_coupon_back_once(action):
    make_coupon(limit=1, per_customer_limit=1)
    order = place(cart_with("SAVE10"), agreed=agreed_with_coupon())
    change(order, action)
    assert books() == (0, 0)
    with transaction.atomic():
        assert services.redemptions_release(order.reference) == 0
    assert books() == (0, 0)
    assert place(cart_with("SAVE10"), agreed=agreed_with_coupon()).discount_minor == 1000


@pytest.mark.django_db
def test_an_order_paid_late_uses_its_coupon_again_or_goes_beyond_the_limit():
    make_coupon(limit=1)
    variant = make_variant(price_minor=10_000, stock=9)
    early = place(cart_with("SAVE10", variant=variant), agreed=agreed_with_coupon())
    change(early, order_expire)
    paid = change(early, lambda order: order_paid(order, actor="test"))
    assert paid.status == Status.PAID and books() == (1, 1)
    change(place(cart_with("", variant=variant)), order_expire)

    Coupon.objects.update(limit=2)
    other = place(cart_with("SAVE10", variant=variant), email="eve@example.org", agreed=agreed_with_coupon())
    change(other, order_expire)
    place(cart_with("SAVE10", variant=variant), email="bob@example.org", agreed=agreed_with_coupon())
    assert change(other, lambda order: order_paid(order, actor="test")).status == Status.PAID
    assert Coupon.objects.get().used == 2
    assert Redemption.objects.get(reference=other.reference).state == Redemption.State.BEYOND


@pytest.mark.django_db
def test_a_paid_order_keeps_its_use():
    make_coupon(limit=1)
    order = place(cart_with("SAVE10"))
    change(order, lambda order: order_paid(order, actor="test"))
    assert books() == (1, 1)


@pytest.mark.django_db
def test_an_account_counts_by_its_own_address_whatever_is_typed():
    make_coupon(per_customer_limit=1)
    user = get_user_model().objects.create_user("ada@example.org", "a-long-password-of-ada")
    place(cart_with("SAVE10", user=user), email="first@example.org", agreed=agreed_with_coupon())
    user.cart.delete()
    for cart, email in (
        (cart_with("SAVE10", user=user), "second@example.org"),
        (cart_with("SAVE10"), "Ada@example.org"),
    ):
        with pytest.raises(CartChanged):
            place(cart, email=email, agreed=agreed_with_coupon())


@pytest.mark.django_db
def test_the_database_refuses_what_is_beyond_a_limit():
    coupon = make_coupon(limit=1)
    from django.db import IntegrityError

    with pytest.raises(IntegrityError), transaction.atomic():
        Coupon.objects.filter(pk=coupon.pk).update(used=2)


@pytest.mark.django_db
def test_campaigns_are_noted_for_the_report(admin_client, settings):
    make_promotion(is_automatic=True, combinable=True)
    make_coupon("ALSO", combinable=True, limit=5)
    order = place(cart_with("ALSO"))
    assert Redemption.objects.filter(reference=order.reference).count() == 2
    assert order.discount_minor == 1900
    page = admin_client.get(f"/{settings.ADMIN_URL_PATH}/promotions/promotion/").content.decode()
    assert "$10.00" in page and "$9.00" in page
    assert admin_client.get(f"/{settings.ADMIN_URL_PATH}/promotions/redemption/").status_code == 200
    assert admin_client.get(f"/{settings.ADMIN_URL_PATH}/promotions/promotion/add/").status_code == 200


@pytest.mark.django_db
def test_a_coupon_that_ended_meanwhile_is_a_question_of_the_new_total():
    make_coupon()
    cart = cart_with("SAVE10")
    Promotion.objects.update(ends_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(CartChanged, match=r"expired.*\$100\.00"):
        place(cart, agreed=agreed_with_coupon())
    assert place(cart, agreed=10_000).discount_minor == 0
    assert not Redemption.objects.exists()


@pytest.mark.django_db
def test_staff_read_whom_a_promotion_is_for(admin_client):
    page = admin_client.get("/admin/promotions/promotion/add/").content.decode()
    assert page.count("customers with an account") >= 2
