"""What pages ask of reviews."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import AnonymousUser

from pasargad.accounts.models import User
from pasargad.catalog.models import Product
from pasargad.orders.models import Order

from .models import Review, Status
from .rules import RECEIVED, buyer_of


@dataclass(frozen=True)
class Bought:
    """A product that an order brought, and what its buyer said of it so far."""

    product: Product
    review: Review | None


def reviews_of(product_id: int, *, first: int = 0, count: int = 5) -> list[Review]:
    """Return the reviews that are shown, newest first."""
    shown = Review.objects.filter(product_id=product_id, status=Status.APPROVED)
    return list(shown.order_by("-created_at", "-id")[first : first + count])


def bought_with(order: Order) -> list[Bought]:
    """Return what of an order can be reviewed: two queries; nothing before it is on its way."""
    if order.status not in RECEIVED:
        return []
    reviews = {review.product_id: review for review in Review.objects.filter(buyer=buyer_of(order))}
    return [Bought(product, reviews.get(product.pk)) for product in _products(order)]


def _products(order: Order) -> list[Product]:
    ids = order.lines.values_list("variant__product_id", flat=True)
    return list(Product.objects.filter(pk__in=ids).order_by("name", "pk"))


def order_to_review(user: User | AnonymousUser, product_slug: str) -> Order | None:
    """Return an account's order that brought this product."""
    if not user.is_authenticated:
        return None
    orders = Order.objects.filter(user=user, status__in=RECEIVED, lines__variant__product__slug=product_slug)
    return orders.order_by("-placed_at", "-pk").first()
