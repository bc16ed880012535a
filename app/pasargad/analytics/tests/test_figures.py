"""The figures say what the books say, are renewed beside readers, and by a role that owns nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import psycopg2
import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models import F, Sum
from django.urls import reverse
from django.utils import timezone
from testing.factories import BUYER, make_coupon, make_order, make_variant
from testing.money import dispute_message, make_paid, refund_message
from testing.roles import OWNER, Roles, database_of_a_host
from testing.staff import log_in

from pasargad.analytics import selectors
from pasargad.analytics.models import Hit, PastHits
from pasargad.analytics.selectors import Range, range_of
from pasargad.analytics.services import VIEWS, figures_refresh, hits_drop
from pasargad.ledger.models import Account, Entry
from pasargad.ledger.selectors import balances
from pasargad.orders.models import Order, Status
from pasargad.orders.returns import Arrived, Wish, return_accept, return_receive, return_request
from pasargad.payments.models import PaymentAttempt, Refund
from pasargad.payments.refunds import order_refund, refund_withdraw
from pasargad.payments.services import webhook_receive

pytestmark = pytest.mark.django_db
ENTRY = """
INSERT INTO audit_entry (at, actor, address, action, target_type, target_id, target, changes, request_id)
VALUES (now(), 'x', '', 'x', '', '', '', '{}', '')
"""
ALWAYS = Range(timezone.now().date() - timedelta(days=800), timezone.now().date() + timedelta(days=1))


def refresh() -> None:
    """Renew the views inside the test's transaction."""
    figures_refresh()


def a_story() -> None:
    """Payments, refunds in every state, a dispute, a payment that came twice too late: whatever moves money."""
    variant = make_variant(stock=100, price_minor=1999)
    attempts = [make_paid(make_order((variant, pieces))) for pieces in (1, 2, 3, 1)]
    order_refund(attempts[0].order_id, 700, "x", actor="test")
    failed = order_refund(attempts[1].order_id, 333, "x", actor="test")
    Refund.objects.filter(pk=failed.pk).update(status="failed")
    refund_withdraw(failed.pk, actor="test")
    sent = order_refund(attempts[2].order_id, 1001, "x", actor="test")
    webhook_receive(refund_message(attempts[2], "succeeded", amount=1001, key=sent.idempotency_key))
    webhook_receive(refund_message(attempts[3], "succeeded", amount=50, identity="re_foreign"))
    webhook_receive(dispute_message(attempts[3], "needs_response", amount=100))
    make_order((variant, 1))
    late = make_order((variant, 1))
    Order.objects.filter(pk=late.pk).update(status=Status.CANCELLED)
    make_paid(late)


def test_revenue_is_the_ledger_s_to_the_cent():
    a_story()
    refresh()
    found = selectors.totals(ALWAYS)
    assert found.revenue == -balances()[Account.ORDERS, "usd"]
    sums = PaymentAttempt.objects.aggregate(received=Sum("received_minor"), back=Sum("refunded_minor"))
    assert (found.received, found.given_back) == (sums["received"], sums["back"]) and found.given_back > 0
    assert sum(day.revenue for day in selectors.days(ALWAYS)) == found.revenue
    today = selectors.totals(range_of(7))
    assert today.revenue == found.revenue and selectors.totals(range_of(7).before).revenue == 0


def test_orders_carts_sellers_and_returns_are_counted():
    a_story()
    order = Order.objects.filter(status=Status.PAID, refunded_minor=0).last()
    Order.objects.filter(pk=order.pk).update(status=Status.SHIPPED)
    found = return_request(order.pk, Wish({order.lines.get().pk: 1}, "unwanted"), key="a" * 32)
    return_accept(found.pk, actor="test")
    return_receive(found.pk, {found.lines.get().pk: Arrived(write_off=1)}, actor="test")
    refresh()
    totals = selectors.totals(range_of(30))
    paid = Order.objects.filter(paid_at__isnull=False)
    assert (totals.placed, totals.paid, totals.carts) == (6, paid.count(), 6)
    assert totals.pieces == paid.aggregate(pieces=Sum("lines__quantity"))["pieces"] and totals.returned == 1
    assert round(totals.returns_rate, 3) == round(100 / totals.pieces, 3)
    assert totals.average_order == round(totals.received / totals.paid)
    (_, _, pieces, worth), *rest = selectors.best_sellers(range_of(30))
    goods = paid.aggregate(worth=Sum(F("subtotal_minor") - F("discount_minor")))["worth"]
    assert (pieces, worth, rest) == (totals.pieces, goods, [])


def test_coupons_are_counted_until_they_are_given_back():
    from testing.factories import make_cart

    from pasargad.orders.services import order_place

    make_coupon("SAVE10")
    cart = make_cart((make_variant(), 1))
    cart.coupon_code = "SAVE10"
    cart.save()
    order_place(cart, replace(BUYER), key="k" * 32, agreed_total_minor=10**9)
    refresh()
    (row,) = selectors.coupons(range_of(7))
    assert row[1:] == ("SAVE10", 1, 100)


def view(day, **fields) -> Hit:
    number = Hit.objects.count()
    return Hit.objects.create(key=f"k{number}", at=day, **({"page": "home"} | fields))


def test_days_begin_where_the_shop_is(settings):
    settings.TIME_ZONE = "Asia/Kolkata"
    midnight = timezone.now().astimezone(ZoneInfo("Asia/Kolkata")).replace(hour=0, minute=0, second=0, microsecond=0)
    view(midnight - timedelta(seconds=1), new_session=True)
    view(midnight, new_session=True)
    refresh()
    with connection.cursor() as cursor:
        cursor.execute("SELECT day, sessions FROM analytics_traffic ORDER BY day")
        assert cursor.fetchall() == [(midnight.date() - timedelta(days=1), 1), (midnight.date(), 1)]
    settings.TIME_ZONE = "UTC"
    refresh()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*), sum(sessions) FROM analytics_traffic")
        assert cursor.fetchone() == (1, 2)


def test_figures_stay_when_raw_views_are_dropped(settings):
    now = timezone.now()
    for number in range(60):
        odd, third = number % 2, number % 3 == 0
        view(
            now - timedelta(days=number, hours=1),
            page="search" if odd else "product",
            term="vase" * odd,
            found=number % 4,
            new_session=third,
            new_visitor=number % 6 == 0,
            new_step=True,
            referrer="news.example" if third else "",
        )
    refresh()
    span = range_of(90)
    before = (selectors.totals(span), selectors.days(span), selectors.referrers(span),
              selectors.searches(span, found=True), selectors.searches(span, found=False))  # fmt: skip
    settings.ANALYTICS = replace(settings.ANALYTICS, retention_days=20)
    assert hits_drop(batch=7) == 40 and PastHits.objects.exists()
    refresh()
    after = (selectors.totals(span), selectors.days(span), selectors.referrers(span),
             selectors.searches(span, found=True), selectors.searches(span, found=False))  # fmt: skip
    assert before == after and before[0].sessions == 20 and before[2] == [("news.example", 20)]
    assert before[3] and before[4] == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("concurrently", [True, False], ids=["ours", "control"])
def test_readers_do_not_wait_for_a_renewal(concurrently):
    view(timezone.now())
    other = connection.copy()
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            for name in VIEWS:
                cursor.execute(
                    "SELECT analytics_refresh(%s)" if concurrently else f"REFRESH MATERIALIZED VIEW {name}",
                    [name] if concurrently else None,
                )
            # The renewal holds its locks until this block ends.
            with other.cursor() as reader:
                reader.execute("SET lock_timeout = '300ms'")
                if concurrently:
                    for name in VIEWS:
                        reader.execute(f"SELECT count(*) FROM {name}")  # noqa: S608
                else:
                    with pytest.raises(DatabaseError, match="lock timeout"):
                        reader.execute(f"SELECT count(*) FROM {VIEWS[0]}")  # noqa: S608
    finally:
        other.close()


def test_only_our_views_are_renewed():
    for name in ("pg_class", "orders_order", "analytics_hit", "x; DROP TABLE orders_order", "", None):
        with pytest.raises(DatabaseError, match="no such view"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT analytics_refresh(%s)", [name])


def test_every_view_has_the_index_that_its_renewal_needs():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid "
            "WHERE c.relkind = 'm' AND i.indisunique AND i.indpred IS NULL AND i.indisvalid ORDER BY 1"
        )
        assert [name for (name,) in cursor.fetchall()] == sorted(VIEWS)


@pytest.fixture(scope="module")
def host(django_db_setup, django_db_blocker) -> Iterator[Roles]:
    with django_db_blocker.unblock(), database_of_a_host() as roles:
        yield roles


def test_the_shop_s_role_renews_the_views_and_owns_nothing(host: Roles):
    with host.connect() as shop, shop.cursor() as cursor:
        shop.autocommit = True
        cursor.execute("SELECT current_user, count(*) FROM pg_class WHERE relowner = current_user::regrole")
        assert cursor.fetchone() == ("pasargad_app", 0)
        cursor.execute(
            "INSERT INTO analytics_hit (key, at, page, referrer, term, new_visitor, new_session, new_step) "
            "VALUES ('a', now(), 'home', '', '', true, true, true)"
        )
        for name in VIEWS:
            cursor.execute("SELECT analytics_refresh(%s)", [name])
        cursor.execute("SELECT sum(sessions) FROM analytics_traffic")
        assert cursor.fetchone() == (1,)


@pytest.mark.parametrize(
    "statement",
    [
        "REFRESH MATERIALIZED VIEW CONCURRENTLY analytics_money",
        "DROP MATERIALIZED VIEW analytics_money",
        "DROP FUNCTION analytics_refresh(text)",
        "CREATE OR REPLACE FUNCTION analytics_refresh(wanted text) RETURNS void LANGUAGE sql AS 'SELECT'",
        "CREATE FUNCTION public.format(text, text) RETURNS text LANGUAGE sql AS 'SELECT $1'",
        "CREATE TEMP TABLE analytics_hit (x int)",
        "SELECT analytics_refresh('audit_entry')",
        "SET ROLE pasargad_owner",
        "ALTER TABLE audit_entry DISABLE TRIGGER audit_entry_append_only",
        "DROP TRIGGER audit_entry_linked ON audit_entry",
        "TRUNCATE audit_entry CASCADE",
        "UPDATE audit_entry SET actor = 'nobody'",
        "DELETE FROM audit_entry",
        "UPDATE audit_link SET digest = previous",
        "DELETE FROM audit_link",
        "SET session_replication_role = replica",
        "CREATE OR REPLACE FUNCTION audit_content(found audit_entry) RETURNS bytea LANGUAGE sql AS 'SELECT NULL'",
    ],
)
def test_the_shop_s_role_can_do_nothing_else(host: Roles, statement):
    with host.connect() as shop, shop.cursor() as cursor:
        cursor.execute(ENTRY)
        shop.commit()
        with pytest.raises(psycopg2.Error):
            cursor.execute(statement)
            shop.commit()
        shop.rollback()


def test_the_log_is_written_and_chained_under_the_shop_s_role(host: Roles):
    with host.connect() as shop, shop.cursor() as cursor:
        for _ in range(3):
            cursor.execute(ENTRY)
            shop.commit()
        cursor.execute("SELECT count(*) = (SELECT count(*) FROM audit_entry), max(position) = count(*) FROM audit_link")
        assert cursor.fetchone() == (True, True)


def test_others_than_the_shop_may_not_renew(host: Roles):
    with host.connect(connection.settings_dict["USER"]) as boss, boss.cursor() as cursor:
        cursor.execute(
            "SELECT p.proowner::regrole::text, has_function_privilege('pasargad_app', p.oid, 'EXECUTE'), "
            "EXISTS (SELECT FROM aclexplode(p.proacl) a WHERE a.grantee = 0), p.proconfig "
            "FROM pg_proc p WHERE p.proname = 'analytics_refresh'"
        )
        assert cursor.fetchone() == (OWNER, True, False, ["search_path=pg_catalog, public, pg_temp"])


@pytest.mark.parametrize("days", [7, 30, 90, 365])
def test_the_page_draws_every_range_with_tables_beside_it(client, days):
    a_story()
    view(timezone.now(), page="search", term="<b>vase</b>", found=0, new_session=True, new_step=True)
    refresh()
    log_in(client, "finance")
    page = client.get(reverse("admin:figures"), {"days": str(days)}).content.decode()
    assert page.count('role="img"') == 3 and page.count("as a table</summary>") == 3 and 'aria-current="page"' in page
    assert "&lt;b&gt;vase" in page and "<b>vase" not in page
    total = selectors.totals(range_of(days))
    from pasargad.catalog.money import Money

    assert str(Money(total.revenue, "usd")) in page and ">None<" not in page


def test_an_empty_shop_has_a_page_too(client):
    refresh()
    log_in(client, "manager")
    assert client.get(reverse("admin:figures")).status_code == 200
    for days in ("0", "31", "x", "-7", "7 OR 1=1"):
        assert client.get(reverse("admin:figures"), {"days": days}).status_code == 404
    assert not Entry.objects.exists()
