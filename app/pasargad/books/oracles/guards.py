"""The last lines of defence are still there: constraints that hold, triggers that fire."""

from __future__ import annotations

from .base import rule

CONSTRAINTS = [
    "catalog_variant_reserved_on_hand",
    "ledger_posting_account",
    "ledger_posting_amount",
    "ledger_posting_once",
    "orders_line_once",
    "orders_order_sum",
    "orders_order_discount",
    "orders_line_discount",
    "orders_returnline_received",
    "payments_attempt_number",
    "payments_attempt_refunded",
    "payments_refund_amount",
    "promotions_limit",
    "promotions_redeemed_once",
]
INDEXES = [
    "catalog_movement_once",
    "catalog_reservation_once",
    "payments_attempt_one_live",
    "notifications_mail_once",
    "promotions_customer_number",
]
TRIGGERS = [
    "ledger_entry_append_only",
    "ledger_entry_balance",
    "ledger_posting_append_only",
    "ledger_posting_balance",
]

rule(
    "constraints_hold",
    "guards",
    "the database's own rules are there and were checked against all rows",
    """
    SELECT wanted, 'is missing or was not validated' FROM unnest(%(constraints)s::text[]) AS wanted
    WHERE NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conname = wanted AND c.convalidated)
    UNION ALL
    SELECT wanted, 'is missing or invalid' FROM unnest(%(indexes)s::text[]) AS wanted
    WHERE NOT EXISTS (SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                      WHERE c.relname = wanted AND i.indisunique AND i.indisvalid)
    UNION ALL
    SELECT wanted, 'is missing or off' FROM unnest(%(triggers)s::text[]) AS wanted
    WHERE NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgname = wanted AND t.tgenabled = 'O')
    """,
    constraints=CONSTRAINTS,
    indexes=INDEXES,
    triggers=TRIGGERS,
)
