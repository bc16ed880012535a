"""What other programs can be told of."""

from __future__ import annotations

from django.db import models


class Kind(models.TextChoices):
    ORDER_PAID = "order.paid", "An order was paid"
    ORDER_SHIPPED = "order.shipped", "All of an order has left"
    ORDER_CANCELLED = "order.cancelled", "An order was cancelled"
    ORDER_REFUNDED = "order.refunded", "Money of an order was sent back"
    ORDER_RETURNED = "order.returned", "Pieces of an order came back"
    STOCK_LOW = "stock.low", "The stock of an article fell to its threshold"
    PRODUCT_CHANGED = "product.changed", "A product was changed or published"
