"""I9: a coupon is used as often as it may be, by the orders that keep it."""

from __future__ import annotations

from .base import rule

rule(
    "coupon_uses",
    "I9",
    "a coupon counts the uses that stand, and they are within its limit",
    """
    SELECT c.code, format('used %s, limit %s, uses that stand %s', c.used, c."limit", count(r.id))
    FROM promotions_coupon c LEFT JOIN promotions_redemption r ON r.coupon_id = c.id AND r.state = 'active'
    GROUP BY c.id HAVING c.used <> count(r.id) OR c.used > c."limit"
    """,
)
rule(
    "redemptions_of_orders",
    "I9",
    "what made an order cheaper is noted as used while it waits and once it was paid, until it is cancelled",
    """
    WITH orders AS (
        SELECT o.id, o.number, o.discounts, o.status = 'awaiting_payment' OR o.status <> 'cancelled' AND EXISTS (
            SELECT FROM orders_orderevent e WHERE e.order_id = o.id AND e.after = 'paid') AS keeps
        FROM orders_order o
    ), wanted AS (
        SELECT o.id, (d->>'promotion')::bigint AS promotion, (d->>'minor')::int + (d->>'shipping_minor')::int AS minor
        FROM orders o, jsonb_array_elements(o.discounts) AS d WHERE o.keeps
    ), noted AS (
        SELECT substr(r.reference, 7)::bigint AS id, r.promotion_id AS promotion, r.amount_minor AS minor
        FROM promotions_redemption r WHERE r.reference LIKE 'order:%' AND r.state IN ('active', 'beyond')
    )
    SELECT o.number, format('promotion %s: took off %s, noted as used %s', promotion, w.minor, n.minor)
    FROM wanted w FULL JOIN noted n USING (id, promotion) JOIN orders o ON o.id = coalesce(w.id, n.id)
    WHERE w.minor IS DISTINCT FROM n.minor
    """,
)
