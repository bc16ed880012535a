"""I3, I4, I8, I13 and I16: an order is what was agreed, is paid when its money came, and went only where it may go."""

from __future__ import annotations

import json

from pasargad.orders.models import TRANSITIONS
from pasargad.orders.return_models import RETURN_TRANSITIONS
from pasargad.orders.smallest import SMALLEST_MINOR

from .base import rule

STEPS = [f"{before.value}>{after.value}" for before, afters in TRANSITIONS.items() for after in afters]
RETURN_STEPS = [f"{before.value}>{after.value}" for before, afters in RETURN_TRANSITIONS.items() for after in afters]
HISTORY = """
    WITH steps AS (
        SELECT e.*, lag(e.after) OVER w AS previous, lead(e.after) OVER w AS next
        FROM {events} e WINDOW w AS (PARTITION BY e.{owner} ORDER BY e.id)
    )
    SELECT {label},
        format('step %%s from %%s to %%s after %%s, now %%s', s.id, s.before, s.after, s.previous, o.{state})
    FROM steps s JOIN {owners} o ON o.id = s.{owner}
    WHERE (s.previous IS NULL AND (s.before <> '' OR s.after <> %(first)s))
        OR (s.previous IS NOT NULL AND (s.before <> s.previous OR NOT (s.before || '>' || s.after) = ANY(%(steps)s)))
        OR (s.next IS NULL AND s.after <> o.{state})
    UNION ALL
    SELECT {label}, 'has no history' FROM {owners} o
    WHERE NOT EXISTS (SELECT FROM {events} e WHERE e.{owner} = o.id)
"""

rule(
    "order_history",
    "I16",
    "replaying an order's history gives its status, by legal steps only",
    HISTORY.format(
        events="orders_orderevent", owners="orders_order", owner="order_id", state="status", label="o.number"
    ),
    first="awaiting_payment",
    steps=STEPS,
)
rule(
    "return_history",
    "I16",
    "replaying a return's history gives its state, by legal steps only",
    HISTORY.format(
        events="orders_returnevent",
        owners="orders_returnrequest",
        owner="request_id",
        state="state",
        label="'return ' || o.id",
    ),
    first="requested",
    steps=RETURN_STEPS,
)
rule(
    "order_lines",
    "I4",
    "the goods of an order cost what its lines say",
    """
    SELECT o.number, format('subtotal %s, lines %s', o.subtotal_minor, coalesce(sum(l.total_minor), 0))
    FROM orders_order o LEFT JOIN orders_orderline l ON l.order_id = o.id
    GROUP BY o.id HAVING o.subtotal_minor <> coalesce(sum(l.total_minor), 0)
    """,
)
rule(
    "order_payable",
    "I4",
    "no order stands whose total the payment provider would not take",
    """
    SELECT number, format('%%s of %%s %%s', status, total_minor, currency) FROM orders_order
    WHERE status NOT IN ('expired', 'cancelled') AND total_minor > 0
        AND total_minor < (%(smallest)s::jsonb ->> currency)::int
    """,
    smallest=json.dumps(SMALLEST_MINOR),
)
rule(
    "order_paid_in_full",
    "I3",
    "an order that counts as paid was paid, in full and in its currency",
    """
    SELECT o.number, format('%s, total %s %s, received %s', o.status, o.total_minor, o.currency,
                            coalesce(sum(a.received_minor), 0))
    FROM orders_order o LEFT JOIN payments_paymentattempt a ON a.order_id = o.id AND a.currency = o.currency
    WHERE o.status IN ('paid', 'processing', 'ready_for_pickup', 'shipped', 'delivered')
    GROUP BY o.id HAVING coalesce(max(a.received_minor), 0) <> o.total_minor
    """,
)
rule(
    "order_money_kept",
    "I8",
    "no order that was given up keeps money",
    """
    SELECT o.number, format('%s, received %s, promised back %s', o.status, sum(a.received_minor), sum(a.refunded_minor))
    FROM orders_order o JOIN payments_paymentattempt a ON a.order_id = o.id
    WHERE o.status IN ('awaiting_payment', 'expired', 'cancelled', 'refund_due', 'refunded')
    GROUP BY o.id HAVING sum(a.received_minor) > sum(a.refunded_minor)
    """,
)
rule(
    "order_refunded",
    "I14",
    "what an order shows as given back is the sum of its refunds, and it is refunded when all is",
    """
    WITH sums AS (
        SELECT a.order_id, sum(a.received_minor) AS received,
            coalesce(sum((SELECT sum(f.amount_minor) FROM payments_refund f
                          WHERE f.attempt_id = a.id AND f.status = 'succeeded')), 0) AS sent
        FROM payments_paymentattempt a GROUP BY a.order_id
    )
    SELECT o.number, format('%s, shows %s, given back %s of %s', o.status, o.refunded_minor, s.sent, s.received)
    FROM orders_order o JOIN sums s ON s.order_id = o.id
    WHERE o.refunded_minor <> s.sent OR (s.received > 0 AND (o.status = 'refunded') <> (s.sent = s.received))
    """,
)
rule(
    "order_not_overdue",
    "I8",
    "no order holds goods long after its time",
    """
    SELECT number, format('waits for its payment since %s', placed_at) FROM orders_order
    WHERE status = 'awaiting_payment' AND expires_at < now() - interval '30 minutes'
    """,
)
rule(
    "refund_not_overdue",
    "I8",
    "money that is due back was sent, or somebody looks after it",
    """
    SELECT o.number, format('refund of %s: %s since %s: %s', f.amount_minor, f.status, f.updated_at, f.error)
    FROM payments_refund f JOIN payments_paymentattempt a ON a.id = f.attempt_id
    JOIN orders_order o ON o.id = a.order_id
    WHERE (f.status = 'created' AND f.updated_at < now() - interval '1 hour')
        OR (f.status = 'failed' AND f.updated_at < now() - interval '2 days')
    """,
)
rule(
    "mail_of_payment",
    "I13",
    "every payment is confirmed by one mail",
    """
    SELECT o.number, 'paid, and no confirmation was queued' FROM orders_order o
    WHERE EXISTS (SELECT FROM orders_orderevent e WHERE e.order_id = o.id AND e.after = 'paid')
        AND NOT EXISTS (SELECT FROM notifications_mail m WHERE m.kind = 'order_confirmation' AND m.key = o.id::text)
    """,
)
rule(
    "mail_not_overdue",
    "I13",
    "no mail waits for a day, and none was given up lately",
    """
    SELECT 'mail ' || id, format('%s to %s: %s since %s: %s', kind, recipient, state, created_at, error)
    FROM notifications_mail
    WHERE (state = 'pending' AND created_at < now() - interval '1 day')
        OR (state = 'given_up' AND created_at > now() - interval '7 days')
    """,
)
