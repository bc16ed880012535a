"""Renewing the figures, and dropping raw views when their time is over."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from .models import PastHits, Zone

VIEWS = (
    "analytics_traffic", "analytics_referrer", "analytics_search", "analytics_trade", "analytics_money",
    "analytics_seller", "analytics_coupon",
)  # fmt: skip
PAST_DAYS = 800
# One statement: what is deleted is what is counted, or neither.
DROP = """
WITH gone AS (
    DELETE FROM analytics_hit WHERE id IN (
        SELECT id FROM analytics_hit WHERE at < %(before)s ORDER BY at LIMIT %(batch)s FOR UPDATE SKIP LOCKED)
    RETURNING at, page, referrer, term, coalesce(found, 0) > 0 AS found, new_visitor, new_session, new_step
), counted AS (
    INSERT INTO analytics_pasthits AS past (day, page, referrer, term, found, views, visitors, sessions, steps)
    SELECT (at AT TIME ZONE %(zone)s)::date, page, referrer, term, found, count(*), count(*) FILTER (WHERE new_visitor),
        count(*) FILTER (WHERE new_session), count(*) FILTER (WHERE new_step)
    FROM gone GROUP BY 1, 2, 3, 4, 5
    ON CONFLICT (day, page, referrer, term, found) DO UPDATE SET views = past.views + excluded.views,
        visitors = past.visitors + excluded.visitors, sessions = past.sessions + excluded.sessions,
        steps = past.steps + excluded.steps
)
SELECT count(*) FROM gone
"""


def figures_refresh() -> list[str]:
    """Renew every view of the figures, each in a transaction of its own; readers go on reading. Returns their names."""
    zone_keep()
    for view in VIEWS:
        with transaction.atomic(), connection.cursor() as cursor:
            # A worker may take longer than a page; whoever renews the same view already is not waited for long.
            cursor.execute("SET LOCAL statement_timeout = '120s'; SET LOCAL lock_timeout = '5s'")
            cursor.execute("SELECT analytics_refresh(%s)", [view])
    return list(VIEWS)


def zone_keep() -> None:
    """Tell the views the shop's time zone, if it changed."""
    if Zone.objects.filter(pk=1, name=settings.TIME_ZONE).exists():
        return
    with transaction.atomic():
        Zone.objects.exclude(pk=1).delete()
        Zone.objects.update_or_create(pk=1, defaults={"name": settings.TIME_ZONE})


def hits_drop(*, batch: int = 5000, batches: int = 50) -> int:
    """Drop raw views older than the retention, counting them by day, a batch in each transaction; returns how many."""
    before = timezone.now() - timedelta(days=settings.ANALYTICS.retention_days)
    dropped = 0
    for _ in range(batches):
        with connection.cursor() as cursor:
            cursor.execute(DROP, {"before": before, "batch": batch, "zone": settings.TIME_ZONE})
            count = cursor.fetchone()[0]
        dropped += count
        if count < batch:
            break
    # Two years of the longest range and the one before it, and some days more.
    old = PastHits.objects.filter(day__lt=timezone.localdate() - timedelta(days=PAST_DAYS)).order_by("day")
    PastHits.objects.filter(pk__in=old.values("pk")[:batch]).delete()
    return dropped
