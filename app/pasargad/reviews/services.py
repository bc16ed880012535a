"""Writing and judging reviews. A product's rating changes only here, by differences, with the review's row locked."""

from __future__ import annotations

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from pasargad.catalog.models import Product
from pasargad.orders.models import Order, OrderLine

from .exceptions import ReviewRefused
from .models import Review, Status
from .rules import RECEIVED, buyer_of


def review_write(*, order: Order, product_id: int, rating: int, author: str, title: str = "", text: str = "") -> Review:
    """Store what a buyer says of a product that this order brought; a second one takes the place of the first.

    It waits for staff either way. Raises ReviewRefused.
    """
    if order.status not in RECEIVED:
        raise ReviewRefused(_("You can review your pieces once they are on their way to you."))
    if not OrderLine.objects.filter(order=order, variant__product_id=product_id).exists():
        raise ReviewRefused(_("This piece is not part of the order."))
    if not 1 <= rating <= 5:
        raise ReviewRefused(_("Choose one to five stars."))
    words = {"author": author, "title": title, "text": text}
    buyer = buyer_of(order)
    with transaction.atomic():
        new = Review(product_id=product_id, buyer=buyer, order=order, user=order.user, rating=rating, **words)
        Review.objects.bulk_create([new], ignore_conflicts=True)
        review = Review.objects.select_for_update().get(product_id=product_id, buyer=buyer)
        _count(review, -1)
        Review.objects.filter(pk=review.pk).update(
            rating=rating, status=Status.PENDING, decided_at=None, decided_by="", order=order, **words
        )
    review.refresh_from_db()
    return review


def review_decide(review_id: int, status: Status, *, actor: str) -> Review:
    """Show a review or hide it; deciding the same again changes nothing."""
    with transaction.atomic():
        review = Review.objects.select_for_update().get(pk=review_id)
        if review.status == status:
            return review
        _count(review, -1)
        review.status, review.decided_at, review.decided_by = status, timezone.now(), actor[:100]
        review.save(update_fields=["status", "decided_at", "decided_by"])
        _count(review, +1)
    return review


def review_reply(review_id: int, reply: str) -> Review:
    """Set the shop's answer below a review; an empty one takes it away."""
    with transaction.atomic():
        review = Review.objects.select_for_update().get(pk=review_id)
        if review.reply != reply:
            review.reply = reply
            review.save(update_fields=["reply"])
    return review


def review_delete(review_id: int) -> None:
    """Delete a review and what it counted for."""
    with transaction.atomic():
        review = Review.objects.select_for_update().get(pk=review_id)
        _count(review, -1)
        review.delete()


def _count(review: Review, sign: int) -> None:
    """Add a shown review to its product's rating, or take it away: by differences, so that no reader can lose any."""
    if review.status == Status.APPROVED:
        Product.objects.filter(pk=review.product_id).update(
            rating_sum=F("rating_sum") + sign * review.rating, rating_count=F("rating_count") + sign
        )
