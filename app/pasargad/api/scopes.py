"""What a key may be allowed to do, and the right of staff that stands for the same in a session."""

from __future__ import annotations

from django.db import models


class Scope(models.TextChoices):
    ORDERS_READ = "orders:read", "See orders and buyers"
    ORDERS_WRITE = "orders:write", "Pack and send orders"
    REFUNDS_WRITE = "refunds:write", "Give money back"
    STOCK_WRITE = "stock:write", "See and correct stock"
    PRODUCTS_WRITE = "products:write", "Change and publish products"


RIGHTS = {
    Scope.ORDERS_READ: "orders.view_order",
    Scope.ORDERS_WRITE: "orders.change_order",
    Scope.REFUNDS_WRITE: "payments.add_refund",
    Scope.STOCK_WRITE: "catalog.add_stockmovement",
    Scope.PRODUCTS_WRITE: "catalog.change_product",
}
