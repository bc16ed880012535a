"""I15: nothing is sent that was not bought, or was refunded before it left."""

from __future__ import annotations

from .base import rule

rule(
    "parcels_within_paid",
    "I15",
    "parcels hold no more than was bought, and what left the house was not refunded before",
    """
    SELECT o.number, format('%s: bought %s, refunded %s (of these after sending %s), packed %s, sent %s', l.sku,
        l.quantity, l.refunded_quantity, l.refunded_sent_quantity, p.packed, p.sent)
    FROM orders_orderline l JOIN orders_order o ON o.id = l.order_id
    JOIN (
        SELECT n.order_line_id, sum(n.quantity) AS packed, coalesce(sum(n.quantity) FILTER (
            WHERE s.state IN ('in_transit', 'problem', 'delivered', 'returned')), 0) AS sent
        FROM shipments_shipmentline n JOIN shipments_shipment s ON s.id = n.shipment_id
        WHERE s.state <> 'cancelled' GROUP BY n.order_line_id
    ) p ON p.order_line_id = l.id
    WHERE p.packed > l.quantity OR p.sent > l.quantity - l.refunded_quantity + l.refunded_sent_quantity
        OR l.refunded_sent_quantity > l.refunded_quantity
    """,
)
rule(
    "parcels_of_standing_orders",
    "I15",
    "nobody hands over a parcel after all of its order's money was due back",
    """
    SELECT o.number, format('parcel %s left at %s, the money was due back at %s', s.id, s.sent_at, e.at)
    FROM shipments_shipment s JOIN orders_order o ON o.id = s.order_id
    JOIN orders_orderevent e ON e.order_id = o.id AND e.after = 'refund_due'
    WHERE s.sent_at > e.at
        -- Carriers may scan what was on its way already.
        AND NOT EXISTS (SELECT FROM shipments_trackingevent t WHERE t.shipment_id = s.id AND t.at = s.sent_at)
    """,
)
