"""What pages and other apps ask of orders."""

from __future__ import annotations

from datetime import datetime

from .models import Order, Status


def order_by_token(token: str) -> Order:
    """Return the order whose link somebody holds; raises Order.DoesNotExist."""
    return Order.objects.get(token=token)


def order_by_number(number: str, email: str) -> Order | None:
    """Return the order only to those who know its number and its mail address."""
    return Order.objects.filter(number=number.strip().upper(), email__iexact=email.strip()).first()


def orders_unpaid_since(moment: datetime, limit: int = 200) -> list[int]:
    """Return ids of orders whose goods were held until `moment` or earlier."""
    late = Order.objects.filter(status=Status.AWAITING_PAYMENT, expires_at__lte=moment)
    return list(late.order_by("expires_at").values_list("pk", flat=True)[:limit])
