"""What each group of the staff may do. Who may decide about accounts and rights is a superuser, in no group."""

from __future__ import annotations


def _all(app: str, *models: str, verbs: str = "view") -> set[str]:
    return {f"{app}.{verb}_{model}" for model in models for verb in verbs.split()}


SEE_ORDERS = _all("orders", "order", "orderline", "orderevent", "returnrequest", "returnline", "returnevent") | _all(
    "shipments", "shipment", "shipmentline", "trackingevent"
)
SEE_GOODS = _all("catalog", "category", "product", "productimage", "variant", "stockmovement", "reservation")
SEE_MONEY = _all("payments", "paymentattempt", "refund", "refundline", "refundfailure", "dispute")

PACKING = (
    SEE_ORDERS
    | SEE_GOODS
    | {"orders.change_order", "shipments.add_shipment", "shipments.change_shipment", "staff.receive_return"}
    | {"catalog.add_stockmovement"}
)
SUPPORT = (
    SEE_ORDERS
    | SEE_GOODS
    | SEE_MONEY
    | {"orders.change_returnrequest", "staff.cancel_order"}
    | _all("reviews", "review", verbs="view change")
    | _all("notifications", "mail", verbs="view change")
    | _all("promotions", "promotion", "coupon", "redemption")
)
CATALOGUE = (
    SEE_GOODS
    | {"catalog.add_stockmovement"}
    | _all("catalog", "category", "product", "variant", "attribute", "attributechoice", verbs="view add change")
    | _all("catalog", "attributevalue", "productimage", verbs="view add change delete")
    | _all("catalog", "formerslug", verbs="view delete")
    | _all("catalog", "workshop", verbs="view change")
    | _all("promotions", "promotion", "coupon", verbs="view add change")
    | _all("reviews", "review", verbs="view change")
    | {"promotions.view_redemption"}
)
FINANCE = (
    SEE_ORDERS
    | SEE_MONEY
    | {"payments.add_refund", "payments.change_refund", "payments.view_webhookevent", "staff.see_analytics"}
    | _all("ledger", "entry", "posting")
    | _all("promotions", "promotion", "coupon", "redemption")
    | _all("tax", "taxzone", "taxclass", "taxrate", "taxassignment", verbs="view add change")
)
MANAGER = (
    PACKING
    | SUPPORT
    | CATALOGUE
    | FINANCE
    | _all("shipping", "shippingzone", "shippingmethod", "weightband", "pickuppoint", verbs="view add change")
    | {"django_tasks_database.view_dbtaskresult", "audit.view_entry", "audit.export_entry", "reviews.delete_review"}
)

GROUPS: dict[str, set[str]] = {
    "packing": PACKING,
    "support": SUPPORT,
    "catalogue": CATALOGUE,
    "finance": FINANCE,
    "manager": MANAGER,
}
