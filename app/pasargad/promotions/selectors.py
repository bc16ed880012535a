"""The promotions as pricing needs them: a part of the one query in which an order reads all its rules."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone

from .models import Promotion
from .rules import Offer

ENDS_SOON = timedelta(days=7)

# Parameters: coupon (code or ""), customer (key or "").
RULES_SQL = """
SELECT jsonb_agg(to_jsonb(p) || jsonb_build_object(
    'coupon', to_jsonb(c),
    'products', (SELECT jsonb_agg(t.product_id) FROM promotions_promotion_products t WHERE t.promotion_id = p.id),
    'categories', (SELECT jsonb_agg(t.category_id) FROM promotions_promotion_categories t WHERE t.promotion_id = p.id),
    'used_by_customer', (SELECT count(*) FROM promotions_redemption r
        WHERE r.promotion_id = p.id AND r.customer_key = %(customer)s AND r.state = 'active')
    ) ORDER BY p.priority, p.id)
FROM promotions_promotion p LEFT JOIN promotions_coupon c ON c.promotion_id = p.id AND c.code = %(coupon)s
WHERE c.id IS NOT NULL OR (p.is_automatic AND p.is_active AND coalesce(p.ends_at, now()) >= now())
"""


def read_offers(raw: list[dict[str, Any]] | None) -> list[Offer]:
    """Return the campaigns and the coupon's promotion; whether they are open is for `rules.refusal` to say."""
    return [_offer(row) for row in raw or []]


def _offer(row: dict[str, Any]) -> Offer:
    # A campaign applies to everybody: a coupon for it adds nothing, and its limits bind nobody.
    coupon = None if row["is_automatic"] else row["coupon"]
    limit = coupon["limit"] if coupon else None
    copied = ("id", "name", "kind", "basis_points", "amount_minor", "buy_quantity", "get_quantity", "minimum_minor",
              "first_order_only", "logged_in_only", "per_customer_limit", "used_by_customer", "priority",
              "combinable")  # fmt: skip
    return Offer(
        **{name: row[name] for name in copied},
        is_active=row["is_active"] and (coupon is None or coupon["is_active"]),
        products=frozenset(row["products"] or ()),
        categories=frozenset(row["categories"] or ()),
        starts_at=_moment(row["starts_at"]),
        ends_at=_moment(row["ends_at"]),
        coupon_id=coupon["id"] if coupon else None,
        code=coupon["code"] if coupon else "",
        left=None if limit is None or coupon is None else limit - coupon["used"],
    )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def promotions_running() -> QuerySet[Promotion]:
    """Return what is open to shoppers at this moment."""
    now = timezone.now()
    started = Q(starts_at__isnull=True) | Q(starts_at__lte=now)
    return Promotion.objects.filter(started, Q(ends_at__isnull=True) | Q(ends_at__gt=now), is_active=True)


def promotions_ending() -> QuerySet[Promotion]:
    """Return what runs now and will not within a week."""
    return promotions_running().filter(ends_at__lte=timezone.now() + ENDS_SOON)
