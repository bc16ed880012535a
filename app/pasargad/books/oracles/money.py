"""I2, I5, I10 and I14: charged once, given back once, and every movement booked."""

from __future__ import annotations

from .base import rule

rule(
    "payment_once",
    "I2",
    "an order has one live attempt, and keeps the money of one",
    """
    SELECT o.number, format('%s live attempts, %s that keep money', count(*) FILTER (
        WHERE a.status IN ('created', 'pending', 'processing', 'succeeded')), count(*) FILTER (
        WHERE a.received_minor > a.refunded_minor))
    FROM payments_paymentattempt a JOIN orders_order o ON o.id = a.order_id GROUP BY o.id
    HAVING count(*) FILTER (WHERE a.status IN ('created', 'pending', 'processing', 'succeeded')) > 1
        OR count(*) FILTER (WHERE a.received_minor > a.refunded_minor) > 1
    """,
)
rule(
    "payment_settled",
    "I6",
    "an attempt that brought money has ended, and stays so whatever is heard later",
    """
    SELECT idempotency_key, format('%s, received %s', status, received_minor) FROM payments_paymentattempt
    WHERE (received_minor > 0 AND status NOT IN ('succeeded', 'cancelled'))
        OR (received_minor = 0 AND status = 'succeeded')
    """,
)
rule(
    "refunds_within_received",
    "I10",
    "no more is promised back than was received, and what is promised is the sum of the refunds",
    """
    SELECT a.idempotency_key, format('received %s, promised back %s, refunds %s', a.received_minor, a.refunded_minor,
                                     coalesce(sum(f.amount_minor), 0))
    FROM payments_paymentattempt a
    LEFT JOIN payments_refund f ON f.attempt_id = a.id AND f.status <> 'withdrawn'
    GROUP BY a.id
    HAVING a.refunded_minor > a.received_minor OR a.refunded_minor <> coalesce(sum(f.amount_minor), 0)
    """,
)
rule(
    "pieces_refunded_once",
    "I10",
    "no piece is given back twice",
    """
    SELECT o.number, format('%s of %s pieces refunded, %s in returns', l.refunded_quantity, l.quantity,
                            coalesce(sum(n.quantity), 0))
    FROM orders_orderline l JOIN orders_order o ON o.id = l.order_id
    LEFT JOIN (orders_returnline n JOIN orders_returnrequest q
        ON q.id = n.request_id AND q.state NOT IN ('refused', 'withdrawn')) ON n.line_id = l.id
    GROUP BY o.id, l.id HAVING l.refunded_quantity + coalesce(sum(n.quantity), 0) > l.quantity
    """,
)
rule(
    "pieces_of_refunds",
    "I10",
    "the pieces that count as given back are those of refunds that stand",
    """
    SELECT o.number, format('%s of line %s (%s of them sent), refunds %s (%s)', l.refunded_quantity, l.sku,
                            l.refunded_sent_quantity, coalesce(sum(n.quantity), 0), coalesce(sum(n.sent_quantity), 0))
    FROM orders_orderline l JOIN orders_order o ON o.id = l.order_id
    LEFT JOIN (payments_refundline n JOIN payments_refund f
        ON f.id = n.refund_id AND f.status <> 'withdrawn') ON n.line_id = l.id
    GROUP BY o.id, l.id
    -- Of pieces from before it was noted, nobody knows with which refund they had left.
    HAVING l.refunded_quantity <> coalesce(sum(n.quantity), 0)
        OR l.refunded_sent_quantity < coalesce(sum(n.sent_quantity), 0)
    """,
)
rule(
    "return_refunded_once",
    "I10",
    "the money for a return is given back once",
    """
    SELECT 'return ' || return_request_id, format('%s refunds that stand, of %s', count(*), sum(amount_minor))
    FROM payments_refund WHERE return_request_id IS NOT NULL AND status <> 'withdrawn'
    GROUP BY return_request_id HAVING count(*) > 1
    """,
)
rule(
    "disputes_noted",
    "I14",
    "what banks took is the sum of open and lost disputes",
    """
    SELECT a.idempotency_key, format('noted %s, disputes %s', a.disputed_minor, coalesce(sum(d.amount_minor), 0))
    FROM payments_paymentattempt a
    LEFT JOIN payments_dispute d ON d.attempt_id = a.id AND d.status IN ('open', 'lost')
    GROUP BY a.id HAVING a.disputed_minor <> coalesce(sum(d.amount_minor), 0)
    """,
)
rule(
    "events_done",
    "I5",
    "no message about a payment that is here still waits for it",
    """
    SELECT e.event_id, e.type FROM payments_webhookevent e
    JOIN payments_paymentattempt a ON a.intent_id = e.subject
    WHERE e.waiting AND a.received_minor > 0 AND e.received_at < now() - interval '10 minutes'
    """,
)
rule(
    "ledger_balanced",
    "I14",
    "every entry of the ledger adds up to zero",
    """
    SELECT e.key, format('adds up to %s in %s postings', coalesce(sum(p.amount_minor), 0), count(p.id))
    FROM ledger_entry e LEFT JOIN ledger_posting p ON p.entry_id = e.id
    GROUP BY e.id HAVING coalesce(sum(p.amount_minor), 0) <> 0 OR count(p.id) < 2
    """,
)
rule(
    "ledger_agrees",
    "I14",
    "of every order, the ledger says what its payments, refunds and disputes say",
    """
    WITH payments AS (
        SELECT a.order_id, a.currency, a.id AS attempt, a.received_minor AS received, a.refunded_minor AS promised,
            coalesce((SELECT sum(f.amount_minor) FROM payments_refund f
                      WHERE f.attempt_id = a.id AND f.status = 'succeeded'), 0) AS sent,
            coalesce((SELECT sum(d.amount_minor) FILTER (WHERE d.status = 'open') FROM payments_dispute d
                      WHERE d.attempt_id = a.id), 0) AS held,
            coalesce((SELECT sum(d.amount_minor) FILTER (WHERE d.status = 'lost') FROM payments_dispute d
                      WHERE d.attempt_id = a.id), 0) AS lost
        FROM payments_paymentattempt a
    ), wanted AS (
        SELECT 'order:' || order_id AS subject, currency, sum(received - sent - held - lost) AS provider,
            sum(promised - received) AS orders, sum(sent - promised) AS refunds_due, sum(held) AS disputed,
            sum(lost) AS losses
        FROM payments GROUP BY order_id, currency
    ), booked AS (
        SELECT e.subject, e.currency,
            coalesce(sum(p.amount_minor) FILTER (WHERE p.account = 'provider'), 0) AS provider,
            coalesce(sum(p.amount_minor) FILTER (WHERE p.account = 'orders'), 0) AS orders,
            coalesce(sum(p.amount_minor) FILTER (WHERE p.account = 'refunds_due'), 0) AS refunds_due,
            coalesce(sum(p.amount_minor) FILTER (WHERE p.account = 'disputed'), 0) AS disputed,
            coalesce(sum(p.amount_minor) FILTER (WHERE p.account = 'losses'), 0) AS losses
        FROM ledger_entry e JOIN ledger_posting p ON p.entry_id = e.id GROUP BY e.subject, e.currency
    )
    SELECT coalesce(w.subject, b.subject), format('payments say %s, the ledger %s', to_json(w), to_json(b))
    FROM wanted w FULL JOIN booked b USING (subject, currency)
    WHERE (coalesce(w.provider, 0), coalesce(w.orders, 0), coalesce(w.refunds_due, 0), coalesce(w.disputed, 0),
           coalesce(w.losses, 0))
        <> (coalesce(b.provider, 0), coalesce(b.orders, 0), coalesce(b.refunds_due, 0), coalesce(b.disputed, 0),
            coalesce(b.losses, 0))
    """,
)
