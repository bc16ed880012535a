"""Reviews: by buyers only, once each, read by staff first, counted exactly however many decide at once."""

from __future__ import annotations

import json
import re
import threading

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import Avg, Count
from testing.factories import BUYER, make_cart, make_product, make_variant

from pasargad.accounts.models import User
from pasargad.catalog.models import Product, Variant
from pasargad.orders.models import Order
from pasargad.orders.models import Status as OrderStatus
from pasargad.orders.services import order_place
from pasargad.reviews.exceptions import ReviewRefused
from pasargad.reviews.models import Review, Status
from pasargad.reviews.services import review_decide, review_delete, review_write

WORDS = {"rating": "4", "title": "Lovely", "text": "It <b>glows</b>.", "author": "Ada"}
_keys = iter(range(10**6))


def buy(
    variant: Variant, *, email: str = "ada@example.org", status: OrderStatus = OrderStatus.DELIVERED, user=None
) -> Order:
    from dataclasses import replace

    buyer = replace(BUYER, email=email)
    order = order_place(make_cart((variant, 1)), buyer, key=f"{next(_keys):032d}", agreed_total_minor=10**9)
    Order.objects.filter(pk=order.pk).update(status=status, user=user)
    order.refresh_from_db()
    return order


def write(order: Order, product: Product, rating: int = 5) -> Review:
    return review_write(order=order, product_id=product.pk, rating=rating, author="Ada")


def rating_of(product: Product) -> tuple[int, int]:
    product.refresh_from_db()
    return product.rating_sum, product.rating_count


@pytest.mark.django_db
def test_a_buyer_writes_and_staff_decide(client):
    variant = make_variant(product=make_product(name="Moon lamp"))
    order, product = buy(variant), variant.product
    path = f"/orders/{order.token}/reviews/{product.slug}/"
    assert client.get(path).status_code == 200
    answer = client.post(path, WORDS)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/orders/{order.token}/reviews/?done=1")
    assert "Lovely" not in client.get(f"/p/{product.slug}/").content.decode()
    review = Review.objects.get()
    review_decide(review.pk, Status.APPROVED, actor="staff")
    page = client.get(f"/p/{product.slug}/").content.decode()
    assert "Lovely" in page and "&lt;b&gt;glows" in page and "4.0" in page
    [data] = re.findall(r'ld\+json">(.*?)</script>', page, re.DOTALL)
    assert json.loads(data)["@graph"][0]["aggregateRating"]["ratingValue"] == "4.0"
    assert "4.0" in client.get("/shop/").content.decode()
    assert "Lovely" in client.get(f"/p/{product.slug}/reviews/").content.decode()
    review_decide(review.pk, Status.REJECTED, actor="staff")
    assert "Lovely" not in client.get(f"/p/{product.slug}/").content.decode()
    assert rating_of(product) == (0, 0)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "status", [status for status in OrderStatus if status not in (OrderStatus.SHIPPED, OrderStatus.DELIVERED)]
)
def test_only_those_who_have_it_may_review_it(client, status):
    variant = make_variant()
    order = buy(variant, status=status)
    with pytest.raises(ReviewRefused):
        write(order, variant.product)
    assert client.get(f"/orders/{order.token}/reviews/{variant.product.slug}/").status_code == 404
    assert client.get(f"/orders/{order.token}/reviews/").status_code == 200
    assert not Review.objects.exists()


@pytest.mark.django_db
def test_only_what_was_bought_can_be_reviewed(client):
    variant, other = make_variant(), make_variant()
    order = buy(variant)
    with pytest.raises(ReviewRefused):
        write(order, other.product)
    assert client.post(f"/orders/{order.token}/reviews/{other.product.slug}/", WORDS).status_code == 404
    assert client.post(f"/orders/{'0' * 32}/reviews/{variant.product.slug}/", WORDS).status_code == 404


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"rating": ""}, "rating"),
        ({"rating": "6"}, "rating"),
        ({"rating": "0"}, "rating"),
        ({"rating": "five"}, "rating"),
        ({"author": " "}, "author"),
        ({"author": "x" * 61}, "author"),
        ({"title": "x" * 121}, "title"),
        ({"text": "x" * 4001}, "text"),
        ({"text": "a\0b"}, "text"),
    ],
)
def test_a_refused_review_keeps_what_was_typed(client, changes, field):
    variant = make_variant()
    order = buy(variant)
    answer = client.post(f"/orders/{order.token}/reviews/{variant.product.slug}/", {**WORDS, **changes})
    assert answer.status_code == 422
    assert field in answer.context["form"].errors
    assert "Lovely" in answer.content.decode() or field == "title"
    assert not Review.objects.exists()


@pytest.mark.django_db
def test_a_second_review_takes_the_place_of_the_first_and_waits_again():
    variant = make_variant()
    first, second = buy(variant), buy(variant, email="ADA@example.org")
    review = write(first, variant.product, 5)
    review_decide(review.pk, Status.APPROVED, actor="staff")
    again = write(second, variant.product, 1)
    assert (again.pk, again.status, again.rating, Review.objects.count()) == (review.pk, Status.PENDING, 1, 1)
    assert rating_of(variant.product) == (0, 0)


@pytest.mark.django_db
def test_an_account_and_its_guest_orders_are_one_buyer(client):
    user = User.objects.create_user("ada@example.org", "secret-enough-1")
    variant = make_variant()
    write(buy(variant), variant.product)
    order = buy(variant, email="elsewhere@example.org", user=user)
    write(order, variant.product, 3)
    assert Review.objects.count() == 1
    client.force_login(user)
    answer = client.get(f"/p/{variant.product.slug}/review/")
    assert answer.headers["Location"] == f"/orders/{order.token}/reviews/{variant.product.slug}/"
    stranger = type(client)()
    assert stranger.get(f"/p/{variant.product.slug}/review/").status_code == 200


@pytest.mark.django_db
def test_deciding_twice_counts_once_and_deleting_gives_back():
    variant = make_variant()
    review = write(buy(variant), variant.product, 4)
    for _ in range(3):
        review_decide(review.pk, Status.APPROVED, actor="staff")
    assert rating_of(variant.product) == (4, 1)
    review_delete(review.pk)
    assert rating_of(variant.product) == (0, 0)


@pytest.mark.django_db
@pytest.mark.parametrize("changes", [{"rating_sum": 1}, {"rating_count": 1}, {"rating_sum": 11, "rating_count": 2}])
def test_the_database_refuses_a_rating_that_cannot_be(changes):
    product = make_product()
    with pytest.raises(IntegrityError), transaction.atomic():
        Product.objects.filter(pk=product.pk).update(**changes)


def race(jobs) -> list[BaseException]:
    """Run each job in a thread and connection of its own, all starting at once; returns what went wrong."""
    start, failures = threading.Barrier(len(jobs)), []

    def run(job) -> None:
        try:
            start.wait(10)
            job()
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return failures


def decide_together(reviews: list[Review]) -> None:
    def decide(review: Review, status: Status):
        return lambda: review_decide(review.pk, status, actor="staff")

    jobs = [
        decide(review, status) for review in reviews for status in (Status.APPROVED, Status.REJECTED, Status.APPROVED)
    ]
    assert race(jobs) == []


@pytest.mark.django_db(transaction=True)
def test_ratings_are_exact_when_many_decide_at_once():
    variant = make_variant(stock=20)
    reviews = [
        write(buy(variant, email=f"{number}@example.org"), variant.product, 1 + number % 5) for number in range(5)
    ]
    decide_together(reviews)
    shown = Review.objects.filter(status=Status.APPROVED).aggregate(number=Count("pk"), mean=Avg("rating"))
    total, count = rating_of(variant.product)
    assert (count, total) == (shown["number"], round((shown["mean"] or 0) * shown["number"]))


@pytest.mark.django_db(transaction=True)
def test_without_the_lock_ratings_would_be_wrong(monkeypatch):
    """The negative control: two that decide the same review at once both count it."""
    both = threading.Barrier(2)

    class Unlocked:
        def get(self, **found):
            review = Review.objects.get(**found)
            both.wait(10)
            return review

    variant = make_variant()
    review = write(buy(variant), variant.product, 4)
    monkeypatch.setattr(type(Review.objects), "select_for_update", lambda self: Unlocked(), raising=False)
    assert race([lambda: review_decide(review.pk, Status.APPROVED, actor="staff")] * 2) == []
    assert rating_of(variant.product) == (8, 2)


@pytest.mark.django_db(transaction=True)
def test_a_buyer_who_sends_twice_at_once_has_one_review():
    variant = make_variant()
    order = buy(variant)
    assert race([lambda: write(order, variant.product)] * 5) == []
    assert Review.objects.count() == 1


@pytest.mark.django_db
def test_staff_have_a_queue(client, settings):
    client.force_login(User.objects.create_superuser("staff@example.org", "secret-enough-1"))
    variant = make_variant()
    review = write(buy(variant), variant.product)
    base = f"/{settings.ADMIN_URL_PATH}/reviews/review/"
    assert client.get(f"{base}?status__exact=pending").status_code == 200
    answer = client.post(base, {"action": "approve", "_selected_action": [str(review.pk)]})
    assert answer.status_code == 302 and rating_of(variant.product) == (5, 1)
    answer = client.post(f"{base}{review.pk}/change/", {"status": "rejected", "reply": "Sorry."})
    review.refresh_from_db()
    assert answer.status_code == 302 and (review.status, review.reply) == (Status.REJECTED, "Sorry.")
    assert rating_of(variant.product) == (0, 0)


@pytest.mark.django_db
@pytest.mark.parametrize("page", ["0", "x", "2", "99999"])
def test_pages_of_reviews_that_are_not_there(client, page):
    variant = make_variant()
    assert client.get(f"/p/{variant.product.slug}/reviews/").status_code == 200
    assert client.get(f"/p/{variant.product.slug}/reviews/?page={page}").status_code == 404
