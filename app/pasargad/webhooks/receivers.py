"""What of the shop becomes an event, and what it says: numbers of orders, never who bought or the order's token."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from django.conf import settings
from django.dispatch import receiver

from pasargad.catalog.models import Product, Variant
from pasargad.catalog.signals import product_changed, stock_left
from pasargad.orders.models import Order, Status
from pasargad.orders.return_models import ReturnRequest, ReturnState
from pasargad.orders.signals import money_returned, order_changed, return_changed

from .kinds import Kind
from .services import event_emit, wanting_of

KIND_OF = {
    Status.PAID: Kind.ORDER_PAID,
    Status.SHIPPED: Kind.ORDER_SHIPPED,
    Status.CANCELLED: Kind.ORDER_CANCELLED,
    Status.REFUNDED: Kind.ORDER_REFUNDED,
}


@receiver(order_changed)
def of_order(sender: Any, order: Order, after: Status, **kwargs: Any) -> None:
    if kind := KIND_OF.get(after):
        event_emit(kind, lambda: order_data(order))


@receiver(money_returned)
def of_money(sender: Any, order: Order, amount_minor: int, **kwargs: Any) -> None:
    """Part of the money: the order goes on as it is."""
    event_emit(Kind.ORDER_REFUNDED, lambda: {**order_data(order), "amount_minor": amount_minor})


@receiver(return_changed)
def of_return(sender: Any, request: ReturnRequest, after: ReturnState, **kwargs: Any) -> None:
    # What came back is counted after the state is changed; how much was asked back is known.
    if after == ReturnState.RECEIVED:
        event_emit(Kind.ORDER_RETURNED, lambda: {**order_data(request.order), "return": request.number})


@receiver(product_changed)
def of_product(sender: Any, product: Product, **kwargs: Any) -> None:
    event_emit(Kind.PRODUCT_CHANGED, lambda: product_data(product))


@receiver(stock_left)
def of_stock(sender: Any, quantities: Mapping[int, int], **kwargs: Any) -> None:
    """Tell of articles whose pieces on hand fell to their threshold just now, not of those that lay below already."""
    if not wanting_of(Kind.STOCK_LOW).exists():
        return
    for row in Variant.objects.filter(pk__in=sorted(quantities), made_to_order=False).select_related("product"):
        threshold = settings.SHOP.low_stock_from if row.low_stock_from is None else row.low_stock_from
        if row.on_hand <= threshold < row.on_hand + quantities[row.pk]:
            event_emit(Kind.STOCK_LOW, partial(stock_data, row, threshold))


def order_data(order: Order) -> dict[str, Any]:
    lines = order.lines.values_list("sku", "quantity")
    return {
        "number": order.number,
        "status": str(order.status),
        "currency": order.currency,
        "total_minor": order.total_minor,
        "refunded_minor": order.refunded_minor,
        "lines": [{"sku": sku, "quantity": quantity} for sku, quantity in lines],
    }


def stock_data(variant: Variant, threshold: int) -> dict[str, Any]:
    return {
        "sku": variant.sku,
        "product": variant.product.slug,
        "on_hand": variant.on_hand,
        "available": variant.available,
        "threshold": threshold,
    }


def product_data(product: Product) -> dict[str, Any]:
    return {
        "slug": product.slug,
        "name": product.name,
        "state": str(product.state),
        "price_minor": product.price_minor,
        "price_to_minor": product.price_to_minor,
    }
