"""Stock: held for a while, then sold or given back. All of it inside the caller's transaction.

Goods are held by a conditional UPDATE: two shoppers cannot both get the last piece. Rows are locked in ascending
order, so two carts with the same goods in opposite orders cannot wait for each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from django.db import connection, transaction
from django.db.models import F

from .exceptions import OutOfStock
from .models import Reservation, StockMovement, Variant
from .signals import stock_left

RESERVE = """
UPDATE catalog_variant AS v SET reserved = v.reserved + wanted.quantity
FROM unnest(%s::bigint[], %s::integer[]) AS wanted(id, quantity)
WHERE v.id = wanted.id AND v.on_hand - v.reserved >= wanted.quantity
RETURNING v.id
"""


def stock_reserve(quantities: Mapping[int, int], *, reference: str, expires_at: datetime) -> None:
    """Hold pieces of each variant for `reference`, or raise OutOfStock and hold nothing."""
    if not quantities:
        return
    _require_transaction()
    ids = sorted(quantities)
    _lock(ids)
    with connection.cursor() as cursor:
        cursor.execute(RESERVE, [ids, [quantities[pk] for pk in ids]])
        held = {row[0] for row in cursor.fetchall()}
    if short := set(ids) - held:
        _give_back({pk: quantities[pk] for pk in held})
        raise OutOfStock(short)
    Reservation.objects.bulk_create(
        Reservation(reference=reference, variant_id=pk, quantity=quantities[pk], expires_at=expires_at) for pk in ids
    )


def stock_release(reference: str) -> bool:
    """Give back what `reference` holds; False if it holds nothing (any more)."""
    return bool(_close(reference, Reservation.State.RELEASED))


def stock_commit(reference: str) -> bool:
    """Turn what `reference` holds into goods sold; False if it holds nothing (any more)."""
    sold = _close(reference, Reservation.State.COMMITTED)
    StockMovement.objects.bulk_create(
        StockMovement(variant_id=pk, kind=StockMovement.Kind.SOLD, quantity=-quantity, reference=reference)
        for pk, quantity in sold.items()
    )
    for pk in sorted(sold):
        Variant.objects.filter(pk=pk).update(on_hand=F("on_hand") - sold[pk])
    if sold:
        stock_left.send(sender=Variant, quantities=sold)
    return bool(sold)


def stock_move(variant_id: int, quantity: int, *, kind: str, reference: str = "", note: str = "") -> StockMovement:
    """Receive, return or correct stock; raises OutOfStock rather than leave less than what is held."""
    with transaction.atomic():
        where = Variant.objects.filter(pk=variant_id, on_hand__gte=F("reserved") - quantity)
        if not where.update(on_hand=F("on_hand") + quantity):
            raise OutOfStock({variant_id})
        movement = StockMovement.objects.create(
            variant_id=variant_id, kind=kind, quantity=quantity, reference=reference, note=note
        )
        if quantity < 0:
            stock_left.send(sender=Variant, quantities={variant_id: -quantity})
        return movement


def _close(reference: str, state: Reservation.State) -> dict[int, int]:
    """End the active reservations of a reference and lower `reserved`; a second caller finds none."""
    _require_transaction()
    active = Reservation.objects.filter(reference=reference, state=Reservation.State.ACTIVE)
    ids = sorted(active.values_list("variant_id", flat=True))
    if not ids:
        return {}
    _lock(ids)
    # Read again under the lock: another transaction may have ended them while this one waited.
    closing = list(active.select_for_update().order_by("variant_id"))
    Reservation.objects.filter(pk__in=[row.pk for row in closing]).update(state=state)
    quantities = {row.variant_id: row.quantity for row in closing}
    _give_back(quantities)
    return quantities


def _give_back(quantities: Mapping[int, int]) -> None:
    for pk in sorted(quantities):
        Variant.objects.filter(pk=pk).update(reserved=F("reserved") - quantities[pk])


def _lock(ids: list[int]) -> None:
    """Lock several rows in ascending order; a single row needs none, its UPDATE locks it."""
    if len(ids) > 1:
        list(Variant.objects.filter(pk__in=ids).order_by("pk").select_for_update().values_list("pk"))


def _require_transaction() -> None:
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("Stock is only changed inside a transaction.")
