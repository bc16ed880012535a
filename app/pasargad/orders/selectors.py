"""What pages and other apps ask of orders."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import connection
from django.db.models import Q, QuerySet

from .models import GIVEN_UP, Order, Status
from .parcels import pieces_sent

# One statement: both are asked whenever an order is placed.
EARLIER = """
SELECT (SELECT id FROM orders_order WHERE idempotency_key = %s), EXISTS (
    SELECT 1 FROM orders_order
    WHERE customer_key = %s AND customer_key <> '' AND status NOT IN ('expired', 'cancelled'))
"""


def order_earlier(idempotency_key: str, customer_key: str) -> tuple[int | None, bool]:
    """Return the id of the order that this key made, and whether this customer has ordered before."""
    with connection.cursor() as cursor:
        cursor.execute(EARLIER, [idempotency_key, customer_key])
        found, ordered = cursor.fetchone()
    return found, ordered


def has_ordered(customer_key: str) -> bool:
    """Whether a customer has an order that was not given up."""
    return bool(customer_key) and Order.objects.filter(~Q(status__in=GIVEN_UP), customer_key=customer_key).exists()


def order_by_token(token: str) -> Order:
    """Return the order whose link somebody holds; raises Order.DoesNotExist."""
    return Order.objects.get(token=token)


def order_by_number(number: str, email: str) -> Order | None:
    """Return the order only to those who know its number and its mail address."""
    return Order.objects.filter(number=number.strip().upper(), email__iexact=email.strip()).first()


def order_cancellable(order: Order, *, begun: bool = False) -> bool:
    """Whether an order can be cancelled: one that waits for its payment, or that cost nothing and is all here still.

    `begun` allows the latter also when work on it has begun; any other is refunded.
    """
    if order.status == Status.AWAITING_PAYMENT:
        return True
    free = (Status.PAID, Status.PROCESSING, Status.READY_FOR_PICKUP) if begun else (Status.PAID,)
    return order.total_minor == 0 and order.status in free and not any(pieces_sent(order).values())


def orders_of(user_id: int, emails: Sequence[str]) -> QuerySet[Order]:
    """Return a person's orders, newest first: placed while signed in, and as a guest with an address of the person's.

    `emails` must be verified: whoever merely claims an address would see somebody else's orders.
    """
    as_guest = Q(pk__in=[])
    for email in emails:
        as_guest |= Q(user=None, email__iexact=email)
    return Order.objects.filter(Q(user_id=user_id) | as_guest).order_by("-placed_at", "-pk")


def orders_unpaid_since(
    moment: datetime, limit: int = 200, *, after: tuple[datetime, int] | None = None
) -> list[tuple[datetime, int]]:
    """Return the places (until when the goods were held, and the id) of orders that were due at `moment`, in order.

    `after` is the place that the page before ended with.
    """
    late = Order.objects.filter(status=Status.AWAITING_PAYMENT, expires_at__lte=moment)
    if after:
        late = late.filter(Q(expires_at__gt=after[0]) | Q(expires_at=after[0], pk__gt=after[1]))
    return list(late.order_by("expires_at", "pk").values_list("expires_at", "pk")[:limit])


def orders_before(
    place: int | None, *, size: int, status: str = "", email: str = "", since: datetime | None = None
) -> list[Order]:
    """Return orders for staff, newest first, from those made before the order `place`, with their lines: two queries.

    One more than `size` is returned where there are more.
    """
    found = Order.objects.order_by("-id").prefetch_related("lines")
    if place is not None:
        found = found.filter(pk__lt=place)
    if status:
        found = found.filter(status=status)
    if email:
        found = found.filter(email__iexact=email)
    if since is not None:
        found = found.filter(placed_at__gte=since)
    return list(found[: size + 1])
