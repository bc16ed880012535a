"""The negative controls: with its guard taken out of the lab's release, each race must be seen.

The guard is taken out of the file on the lab host; where the database has a last line of defence, that one is taken
away as well, and put back with its damage mended afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.checkout import races
from tests.checkout.lab import MoneyLab

REPAIR = """
from django.db.models import F, Sum
from pasargad.catalog.models import StockMovement, Variant
from pasargad.catalog.stock import stock_move
for variant in Variant.objects.filter(on_hand__lt=F('reserved')):
    Variant.objects.filter(pk=variant.pk).update(on_hand=F('on_hand') + variant.reserved - variant.on_hand)
    StockMovement.objects.create(variant=variant, kind='corrected', quantity=variant.reserved - variant.on_hand)
"""


LOCK_WILDLY = """
def _lock_wildly(ids: list[int]) -> None:
    import random, time
    random.shuffle(ids)
    for pk in ids:
        Variant.objects.select_for_update().get(pk=pk)
        time.sleep(0.02)


"""
HELD_BY_NOBODY = """
def _held_by_nobody(cart: Cart) -> HeldCart:
    return HeldCart(cart.coupon_code, None, "")


"""
ONE_TOO_MANY = """
UPDATE payments_paymentattempt a SET status = 'cancelled' WHERE status <> 'cancelled' AND EXISTS (
    SELECT FROM payments_paymentattempt b WHERE b.order_id = a.order_id AND b.id <> a.id AND b.status <> 'cancelled'
    AND (b.received_minor, b.id) > (a.received_minor, a.id))
"""
ONE_LIVE = """
CREATE UNIQUE INDEX payments_attempt_one_live ON payments_paymentattempt (order_id)
WHERE status IN ('created', 'pending', 'processing', 'succeeded')
"""


@dataclass(frozen=True)
class Control:
    """A race without its guard: which text of which file is changed, and which constraints are away meanwhile."""

    name: str
    race: Callable[[MoneyLab], list[str]]
    file: str
    changes: tuple[tuple[str, str], ...]
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = field(default=())


CONTROLS = [
    Control(
        "stock is not compared when it is held",
        lambda lab: races.last_pieces(lab, 3, 25),
        "catalog/stock.py",
        (("WHERE v.id = wanted.id AND v.on_hand - v.reserved >= wanted.quantity", "WHERE v.id = wanted.id"),),
        ("ALTER TABLE catalog_variant DROP CONSTRAINT catalog_variant_reserved_on_hand",),
        ("ALTER TABLE catalog_variant ADD CONSTRAINT catalog_variant_reserved_on_hand CHECK (reserved <= on_hand)",),
    ),
    Control(
        "rows of stock are locked in the order of the cart",
        races.opposite_orders,
        "catalog/stock.py",
        (
            ("    ids = sorted(quantities)\n    _lock(ids)\n", "    ids = list(quantities)\n    _lock_wildly(ids)\n"),
            (
                "def _require_transaction() -> None:",
                f"{LOCK_WILDLY}def _require_transaction() -> None:",
            ),
        ),
    ),
    Control(
        "a coupon's limit is not compared when it is used",
        lambda lab: races.coupon_limit(lab, 3, 20),
        "promotions/services.py",
        (('WITHIN_LIMIT = \'("limit" IS NULL OR used < "limit")\'', "WITHIN_LIMIT = 'true'"),),
        ("ALTER TABLE promotions_coupon DROP CONSTRAINT promotions_limit",),
        (
            'UPDATE promotions_coupon SET "limit" = used WHERE used > "limit"',
            'ALTER TABLE promotions_coupon ADD CONSTRAINT promotions_limit CHECK ("limit" IS NULL OR used <= "limit")',
        ),
    ),
    Control(
        "placing locks no cart and knows no key",
        races.same_key,
        "orders/services.py",
        (
            ("held = cart_hold(cart)", "held = _held_by_nobody(cart)"),
            ('full_key = f"{cart.pk}:{key}"', 'full_key = f"{cart.pk}:{secrets.token_hex(16)}"'),
            (
                "def order_move(",
                f"{HELD_BY_NOBODY}def order_move(",
            ),
            (
                "from pasargad.cart.services import cart_empty, cart_hold",
                "from pasargad.cart.services import HeldCart, cart_empty, cart_hold",
            ),
        ),
    ),
    Control(
        "every click on pay makes a payment of its own",
        races.double_pay,
        "payments/services.py",
        (
            (
                "attempt = PaymentAttempt.objects.filter(order=order, status__in=PaymentAttempt.LIVE).first()",
                "attempt = None",
            ),
        ),
        ("DROP INDEX payments_attempt_one_live",),
        (
            # The payments that are one too many end as the reconciler would end them.
            ONE_TOO_MANY,
            ONE_LIVE,
        ),
    ),
    Control(
        "refunds are not compared with what was paid",
        races.refund_against_refund,
        "payments/refunds.py",
        (("    if amount_minor > _room(attempt):\n", "    if False:\n"),),
    ),
]


def control(lab: MoneyLab, wanted: Control) -> list[str]:
    """Run a race without its guard; returns what was seen of it, and leaves the shop whole."""
    with lab.broken(wanted.file, *wanted.changes):
        for statement in wanted.before:
            lab.alter(statement)
        try:
            seen = wanted.race(lab)
        finally:
            if "catalog_variant" in "".join(wanted.after):
                lab.python(REPAIR)
            for statement in wanted.after:
                lab.alter(statement)
    return seen
