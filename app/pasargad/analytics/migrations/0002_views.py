from django.db import migrations

# ruff: noqa: S608  # nothing here comes from outside
# Days are the shop's; without a zone that is known, UTC's. Each view's unique index lets it be renewed beside readers.
DAY = "({} AT TIME ZONE coalesce((SELECT name FROM analytics_zone ORDER BY id LIMIT 1), 'UTC'))::date"

VIEWS = {
    "analytics_traffic": (
        "day",
        f"""
        SELECT day, sum(views)::bigint AS views, sum(visitors)::bigint AS visitors, sum(sessions)::bigint AS sessions,
            coalesce(sum(steps) FILTER (WHERE page = 'product'), 0)::bigint AS product_sessions,
            coalesce(sum(steps) FILTER (WHERE page = 'checkout'), 0)::bigint AS checkout_sessions
        FROM (
            SELECT {DAY.format("h.at")} AS day, h.page, 1 AS views, h.new_visitor::int AS visitors,
                h.new_session::int AS sessions, h.new_step::int AS steps FROM analytics_hit h
            UNION ALL SELECT day, page, views, visitors, sessions, steps FROM analytics_pasthits
        ) AS hits GROUP BY day
        """,
    ),
    "analytics_referrer": (
        "day, referrer",
        f"""
        SELECT day, referrer, sum(sessions)::bigint AS sessions FROM (
            SELECT {DAY.format("h.at")} AS day, h.referrer, 1 AS sessions FROM analytics_hit h WHERE h.new_session
            UNION ALL SELECT day, referrer, sessions FROM analytics_pasthits WHERE sessions > 0
        ) AS hits GROUP BY day, referrer
        """,
    ),
    "analytics_search": (
        "day, term, found",
        f"""
        SELECT day, term, found, sum(searches)::bigint AS searches FROM (
            SELECT {DAY.format("h.at")} AS day, h.term, coalesce(h.found, 0) > 0 AS found, 1 AS searches
            FROM analytics_hit h WHERE h.term <> ''
            UNION ALL SELECT day, term, found, views FROM analytics_pasthits WHERE term <> ''
        ) AS hits GROUP BY day, term, found
        """,
    ),
    "analytics_trade": (
        "day",
        f"""
        SELECT day, sum(carts)::bigint AS carts, sum(placed)::bigint AS placed, sum(paid)::bigint AS paid,
            sum(pieces)::bigint AS pieces, sum(returned)::bigint AS returned
        FROM (
            SELECT {DAY.format("c.created_at")} AS day, 1 AS carts, 0 AS placed, 0 AS paid, 0 AS pieces, 0 AS returned
            FROM cart_cart c
            UNION ALL SELECT {DAY.format("o.placed_at")}, 0, 1, 0, 0, 0 FROM orders_order o
            UNION ALL SELECT {DAY.format("o.paid_at")}, 0, 0, 1, 0, 0 FROM orders_order o WHERE o.paid_at IS NOT NULL
            UNION ALL SELECT {DAY.format("o.paid_at")}, 0, 0, 0, l.quantity, 0
            FROM orders_orderline l JOIN orders_order o ON o.id = l.order_id WHERE o.paid_at IS NOT NULL
            UNION ALL SELECT {DAY.format("e.at")}, 0, 0, 0, 0, l.restocked + l.written_off
            FROM orders_returnevent e JOIN orders_returnline l ON l.request_id = e.request_id
            WHERE e.after = 'received' AND e.before = 'accepted'
        ) AS happened GROUP BY day
        """,
    ),
    # What the books say of the account `orders`, whose credits are what shoppers paid.
    "analytics_money": (
        "day, currency",
        f"""
        SELECT {DAY.format("e.at")} AS day, e.currency,
            coalesce(-sum(p.amount_minor) FILTER (WHERE e.key LIKE 'payment:%'), 0)::bigint AS received,
            coalesce(sum(p.amount_minor) FILTER (WHERE e.key NOT LIKE 'payment:%'), 0)::bigint AS given_back
        FROM ledger_posting p JOIN ledger_entry e ON e.id = p.entry_id WHERE p.account = 'orders'
        GROUP BY 1, 2
        """,
    ),
    "analytics_seller": (
        "day, currency, sku",
        f"""
        SELECT {DAY.format("o.paid_at")} AS day, o.currency, l.sku, max(l.product_name) AS name,
            sum(l.quantity)::bigint AS pieces,
            sum(l.total_minor::bigint - l.discount_minor + CASE WHEN o.tax_inclusive THEN 0 ELSE l.tax_minor END)::bigint
                AS worth
        FROM orders_orderline l JOIN orders_order o ON o.id = l.order_id WHERE o.paid_at IS NOT NULL
        GROUP BY 1, 2, 3
        """,
    ),
    "analytics_coupon": (
        "day, promotion_id, code",
        f"""
        SELECT {DAY.format("r.at")} AS day, r.promotion_id, coalesce(c.code, '') AS code, max(p.name) AS name,
            count(*) AS uses, sum(r.amount_minor)::bigint AS saved
        FROM promotions_redemption r JOIN promotions_promotion p ON p.id = r.promotion_id
        LEFT JOIN promotions_coupon c ON c.id = r.coupon_id WHERE r.state <> 'released'
        GROUP BY 1, 2, 3
        """,
    ),
}

CREATE = [
    f"CREATE MATERIALIZED VIEW {name} AS {query}; CREATE UNIQUE INDEX {name}_once ON {name} ({key});"
    for name, (key, query) in VIEWS.items()
]
# To renew a view is for its owner only, and the shop's role owns nothing: it may ask this function, for these views.
# What it runs is the views' own text, with the owner's rights; the caller decides nothing but which one.
REFRESH = f"""
CREATE FUNCTION analytics_refresh(wanted text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF wanted IS NULL OR wanted <> ALL (ARRAY[{", ".join(f"'{name}'" for name in VIEWS)}]) THEN
        RAISE EXCEPTION 'no such view of the figures' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    EXECUTE format('REFRESH MATERIALIZED VIEW CONCURRENTLY public.%I', wanted);
END $$;
REVOKE ALL ON FUNCTION analytics_refresh(text) FROM PUBLIC;
DO $$
DECLARE
    writer regrole;
BEGIN
    -- Whoever may write the views' raw rows, by the privileges that its tables are made with.
    FOR writer IN
        SELECT DISTINCT acl.grantee FROM pg_class c, aclexplode(c.relacl) AS acl
        WHERE c.oid = 'analytics_hit'::regclass AND acl.privilege_type = 'INSERT' AND acl.grantee <> 0
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION analytics_refresh(text) TO %s', writer);
    END LOOP;
END $$;
"""
BACKWARDS = "DROP FUNCTION analytics_refresh(text);" + "".join(f"DROP MATERIALIZED VIEW {name};" for name in VIEWS)


class Migration(migrations.Migration):
    # Old code does not know these views.
    pasargad_phase = "expand"

    dependencies = [
        ("analytics", "0001_initial"),
        ("cart", "0002_coupon_code"),
        ("ledger", "0002_guards"),
        ("orders", "0004_returns_and_refunds"),
        ("promotions", "0001_initial"),
    ]

    operations = [migrations.RunSQL("".join(CREATE) + REFRESH, BACKWARDS)]
