"""Redeeming promotions within their limits, and giving them back. All of it inside the caller's transaction.

A coupon's limit is kept by a conditional UPDATE, a customer's by unique numbers: two orders cannot both be the last.
Locks come after those of stock, in the order of promotions.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence

from django.db import IntegrityError, connection, transaction
from django.db.models import F, Q

from .exceptions import CouponUsedUp
from .models import Coupon, Redemption
from .rules import Applied, Offer, Refusal

WITHIN_LIMIT = '("limit" IS NULL OR used < "limit")'
TAKE = """
WITH taken AS (
    UPDATE promotions_coupon SET used = used + 1 WHERE id = %(coupon)s AND {within_limit} RETURNING id
), noted AS ({note} AND (%(coupon)s IS NULL OR EXISTS (SELECT 1 FROM taken)) {end}
), free AS ({free})
SELECT (SELECT count(*) FROM taken), (SELECT count(*) FROM noted)
"""
# The smallest number that this customer has free; none is free when the limit is reached.
NOTE = """
INSERT INTO promotions_redemption
    (promotion_id, coupon_id, reference, customer_key, number, amount_minor, state, at)
SELECT %(promotion)s, %(coupon)s, %(reference)s, %(customer)s, n, %(amount)s, 'active', now()
FROM unnest(%(numbers)s::smallint[]) AS n
WHERE NOT EXISTS (SELECT 1 FROM promotions_redemption r WHERE r.promotion_id = %(promotion)s
    AND r.customer_key = %(customer)s AND r.number = n AND r.state = 'active')
"""
# Uses without any limit, only for the report.
FREE = """
INSERT INTO promotions_redemption (promotion_id, reference, customer_key, amount_minor, state, at)
SELECT id, %(reference)s, %(customer)s, amount, 'active', now()
FROM unnest(%(free)s::bigint[], %(free_amounts)s::integer[]) AS used(id, amount)
"""
END = "ORDER BY n LIMIT 1 ON CONFLICT DO NOTHING RETURNING id"


def customer_key(email: str) -> str:
    """Name a customer by mail address, so that limits cannot be passed by writing the same address differently.

    Ignored are case, what follows a plus sign, and at Gmail dots. Another address is another customer.
    """
    local, _, domain = unicodedata.normalize("NFKC", email).strip().casefold().rpartition("@")
    if not local:
        return ""
    local = local.partition("+")[0] or local
    if domain in ("gmail.com", "googlemail.com"):
        local, domain = local.replace(".", ""), "gmail.com"
    return hashlib.sha256(f"customer:{local}@{domain}".encode()).hexdigest()


def redeem(applied: Sequence[Applied], *, reference: str, customer: str) -> None:
    """Note the use of what an order's price is made with; raises CouponUsedUp if another order was faster.

    One statement, and one more for each further promotion with a limit.
    """
    _require_transaction()
    ordered = sorted(applied, key=lambda entry: entry.offer.id)
    limited = [found for found in ordered if _is_limited(found.offer)]
    free = [found for found in ordered if not _is_limited(found.offer)]
    who = {"reference": reference, "customer": customer}
    for found in limited:
        _redeem_one(found, free, who)
        free = []
    if free:
        with connection.cursor() as cursor:
            cursor.execute(FREE, {**who, **_uses(free)})


def redemptions_release(reference: str) -> int:
    """Give back what an order used; a second call finds nothing. Returns how many."""
    _require_transaction()
    active = Redemption.objects.filter(reference=reference, state=Redemption.State.ACTIVE)
    rows = list(active.select_for_update().order_by("promotion_id"))
    for row in rows:
        Redemption.objects.filter(pk=row.pk).update(state=Redemption.State.RELEASED)
        if row.coupon_id:
            Coupon.objects.filter(pk=row.coupon_id).update(used=F("used") - 1)
    return len(rows)


def redemptions_retake(reference: str) -> None:
    """Use again what an order gave back when it expired and was paid all the same.

    Its price was promised and is paid: if nothing is left of the limit, the use is noted beyond it.
    """
    _require_transaction()
    released = Redemption.objects.filter(reference=reference, state=Redemption.State.RELEASED)
    for row in released.select_for_update().order_by("promotion_id"):
        try:
            with transaction.atomic():
                within = Q(limit__isnull=True) | Q(used__lt=F("limit"))
                if row.coupon_id and not Coupon.objects.filter(within, pk=row.coupon_id).update(used=F("used") + 1):
                    raise CouponUsedUp(Refusal.USED_UP)
                Redemption.objects.filter(pk=row.pk).update(state=Redemption.State.ACTIVE)
        except (CouponUsedUp, IntegrityError):
            Redemption.objects.filter(pk=row.pk).update(state=Redemption.State.BEYOND)


def _redeem_one(found: Applied, free: Sequence[Applied], who: dict[str, str]) -> None:
    limit = found.offer.customer_limit
    values = {
        **who,
        **_uses(free),
        "promotion": found.offer.id,
        "coupon": found.offer.coupon_id,
        "numbers": [None] if limit is None else list(range(1, limit + 1)),
        "amount": found.saving,
    }
    with connection.cursor() as cursor:
        cursor.execute(TAKE.format(within_limit=WITHIN_LIMIT, note=NOTE, end=END, free=FREE), values)
        taken, noted = cursor.fetchone()
        if found.offer.coupon_id is not None and not taken:
            raise CouponUsedUp(Refusal.USED_UP)
        # Nothing noted: no number is free, or another order took the same one while this statement waited for it.
        for _ in range(min(limit or 0, 20)):
            if noted:
                break
            cursor.execute(f"{NOTE} {END}", values)
            noted = cursor.rowcount
    if not noted:
        raise CouponUsedUp(Refusal.USED_BY_YOU)


def _is_limited(offer: Offer) -> bool:
    return offer.coupon_id is not None or offer.customer_limit is not None


def _uses(free: Sequence[Applied]) -> dict[str, list[int]]:
    return {"free": [found.offer.id for found in free], "free_amounts": [found.saving for found in free]}


def _require_transaction() -> None:
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("Promotions are only redeemed inside a transaction.")
