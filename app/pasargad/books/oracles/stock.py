"""I1 and I15: nothing is sold that is not there, and every piece is accounted for."""

from __future__ import annotations

from .base import rule

rule(
    "stock_reserved",
    "I1",
    "what a variant holds back is the sum of its active reservations",
    """
    SELECT v.sku, format('reserved %s, reservations %s', v.reserved, coalesce(sum(r.quantity), 0))
    FROM catalog_variant v LEFT JOIN catalog_reservation r ON r.variant_id = v.id AND r.state = 'active'
    GROUP BY v.id HAVING v.reserved <> coalesce(sum(r.quantity), 0)
    """,
)
rule(
    "stock_not_oversold",
    "I1",
    "no variant has less than nothing, or holds back more than it has",
    """
    SELECT sku, format('on hand %s, reserved %s', on_hand, reserved) FROM catalog_variant
    WHERE on_hand < 0 OR reserved < 0 OR reserved > on_hand
    """,
)
rule(
    "stock_movements",
    "I15",
    "what is on hand is the sum of all movements",
    """
    SELECT v.sku, format('on hand %s, movements %s', v.on_hand, coalesce(sum(m.quantity), 0))
    FROM catalog_variant v LEFT JOIN catalog_stockmovement m ON m.variant_id = v.id
    GROUP BY v.id HAVING v.on_hand <> coalesce(sum(m.quantity), 0)
    """,
)
rule(
    "stock_held_for_orders",
    "I1",
    "an order that waits for its payment holds its goods, and no other order holds any",
    """
    SELECT o.number, format('%s, wants %s of variant %s, holds %s', o.status, l.quantity, l.variant_id,
                            coalesce(sum(r.quantity), 0))
    FROM orders_order o JOIN orders_orderline l ON l.order_id = o.id AND NOT l.made_to_order
    LEFT JOIN catalog_reservation r
        ON r.reference = 'order:' || o.id AND r.variant_id = l.variant_id AND r.state = 'active'
    WHERE o.status = 'awaiting_payment' OR r.id IS NOT NULL
    GROUP BY o.id, l.id
    HAVING coalesce(sum(r.quantity), 0) <> CASE WHEN o.status = 'awaiting_payment' THEN l.quantity ELSE 0 END
    """,
)
rule(
    "stock_sold_for_orders",
    "I15",
    "a paid order took its goods out of stock, once; one that was never paid, or cancelled since, took none in the end",
    """
    SELECT o.number, format('%s, bought %s of variant %s, moved %s', o.status, l.quantity, l.variant_id,
                            coalesce(sum(m.quantity), 0))
    FROM orders_order o JOIN orders_orderline l ON l.order_id = o.id AND NOT l.made_to_order
    LEFT JOIN catalog_stockmovement m
        ON m.kind IN ('sold', 'returned') AND m.reference = 'order:' || o.id AND m.variant_id = l.variant_id
    GROUP BY o.id, l.id
    HAVING coalesce(sum(m.quantity), 0) <> CASE
        WHEN o.status <> 'cancelled' AND EXISTS (
            SELECT FROM orders_orderevent e WHERE e.order_id = o.id AND e.after = 'paid') THEN -l.quantity
        ELSE 0 END
    """,
)
rule(
    "stock_returned",
    "I15",
    "no more pieces of an order come back into stock than were sold",
    """
    WITH back AS (
        SELECT q.order_id, m.variant_id, m.quantity FROM catalog_stockmovement m
        JOIN orders_returnrequest q ON m.reference = 'return:' || q.id WHERE m.kind = 'returned'
        UNION ALL
        SELECT a.order_id, m.variant_id, m.quantity FROM catalog_stockmovement m
        JOIN payments_refund f ON m.reference IN ('refund:' || f.id, 'refund:' || f.id || ':withdrawn')
        JOIN payments_paymentattempt a ON a.id = f.attempt_id WHERE m.kind = 'returned'
    )
    SELECT o.number, format('variant %s: %s back, %s sold', b.variant_id, sum(b.quantity), coalesce(max(l.quantity), 0))
    FROM back b JOIN orders_order o ON o.id = b.order_id
    LEFT JOIN orders_orderline l ON l.order_id = o.id AND l.variant_id = b.variant_id AND NOT l.made_to_order
    GROUP BY o.id, b.variant_id HAVING sum(b.quantity) > coalesce(max(l.quantity), 0)
    """,
)
rule(
    "return_restocked",
    "I15",
    "what a return put back into stock is what was noted as restocked",
    """
    SELECT 'return ' || q.id, format('variant %s: noted %s, moved %s', l.variant_id, sum(n.restocked),
                                     coalesce(sum(m.quantity), 0))
    FROM orders_returnrequest q JOIN orders_returnline n ON n.request_id = q.id
    JOIN orders_orderline l ON l.id = n.line_id AND NOT l.made_to_order
    LEFT JOIN catalog_stockmovement m
        ON m.kind = 'returned' AND m.reference = 'return:' || q.id AND m.variant_id = l.variant_id
    GROUP BY q.id, l.variant_id HAVING sum(n.restocked) <> coalesce(sum(m.quantity), 0)
    """,
)
rule(
    "refund_restocked_in_house",
    "I15",
    "a refund puts no piece into stock that a parcel has carried away",
    """
    SELECT o.number, format('%s: bought %s, sent %s, put into stock by refunds %s', l.sku, l.quantity, p.sent, b.pieces)
    FROM orders_orderline l JOIN orders_order o ON o.id = l.order_id
    JOIN (
        SELECT n.line_id, sum(n.quantity) AS pieces FROM payments_refundline n
        JOIN payments_refund f ON f.id = n.refund_id AND f.status <> 'withdrawn'
        WHERE n.restocked GROUP BY n.line_id
    ) b ON b.line_id = l.id
    JOIN (
        SELECT n.order_line_id, sum(n.quantity) AS sent FROM shipments_shipmentline n
        JOIN shipments_shipment s ON s.id = n.shipment_id AND s.state IN (
            'in_transit', 'problem', 'delivered', 'returned')
        GROUP BY n.order_line_id
    ) p ON p.order_line_id = l.id
    WHERE p.sent + b.pieces > l.quantity
    """,
)
