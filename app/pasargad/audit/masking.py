"""What of a changed field may stand in the log: secrets and personal data never do.

Texts are masked unless their app is known to hold none of a person; numbers, dates, switches and choices are shown.
"""

from __future__ import annotations

from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from django.contrib.postgres.search import SearchVectorField
from django.db import models

MASK = "•••"
LONGEST = 200
# Apps whose texts say nothing of a person; of any other app only the fields below.
OPEN_APPS = {"catalog", "promotions", "shipping", "tax", "ledger", "auth"}
OPEN_FIELDS = {
    ("orders.orderevent", "actor"),
    ("orders.orderline", "sku"),
    ("orders.order", "number"),
    ("orders.returnevent", "actor"),
    ("payments.refund", "actor"),
    ("payments.refund", "idempotency_key"),
    ("payments.refund", "currency"),
    ("shipments.shipment", "service"),
    ("shipments.shipment", "currency"),
    ("shipments.shipment", "tracking_carrier"),
    ("reviews.review", "decided_by"),
}
SECRET_WORDS = ("password", "secret", "token", "api_key", "otp", "recovery")
# Names a row is known by without naming a person.
NAMED_BY = {"orders.order": "number", "orders.orderline": "sku", "auth.group": "name"}


def shown(field: models.Field[Any, Any], value: Any) -> Any:
    """Return a field's value as JSON that may be kept, or the mask."""
    if value is None or isinstance(value, bool):
        return value
    if is_hidden(field):
        return MASK if value not in ("", [], {}) else ""
    if isinstance(value, int | float):
        return value
    if isinstance(value, Decimal | datetime | date | time):
        return str(value)
    return str(value)[:LONGEST]


def is_hidden(field: models.Field[Any, Any]) -> bool:
    label, name = field.model._meta.label_lower, field.name
    if any(word in name for word in SECRET_WORDS):
        return True
    if (label, name) in OPEN_FIELDS:
        return False
    if isinstance(field, models.EmailField | models.GenericIPAddressField | models.BinaryField | SearchVectorField):
        return True
    free = isinstance(field, models.CharField | models.TextField | models.JSONField | models.FileField)
    return free and not field.choices and field.model._meta.app_label not in OPEN_APPS


def name_of(row: models.Model) -> str:
    """Return what a row is called, if that names no person."""
    label = row._meta.label_lower
    if label in NAMED_BY:
        return str(getattr(row, NAMED_BY[label]))[:120]
    return str(row)[:120] if row._meta.app_label in OPEN_APPS else ""
