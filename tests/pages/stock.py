"""Puts goods, reviews and an order in every state into the shop: `python -m tests.pages.stock GOODS DIRECTORY`.

Runs with the shop's settings; prints one JSON line that names what it made. Every kind of mail about these orders is
written to DIRECTORY/mails.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

_numbers = count(1)
REVIEWS = (
    (
        5,
        "Lighter than it looks",
        "It stands by the window and throws a *lovely* shadow at noon. It came whole.",
    ),
    (
        4,
        "Good, a little smaller than I thought",
        "I should have read the size. The colour is just as shown.",
    ),
    (5, "", "Second one I bought."),
)


def main(goods: int, directory: Path) -> dict[str, Any]:
    from pasargad.catalog.demo import catalogue, seeding

    whole = catalogue.load()
    chosen = replace(whole, goods=whole.goods[:goods]) if goods else whole
    for _ in seeding.draw_pictures(list(seeding.seed(chosen))):
        pass
    for _ in seeding.add_shapes(chosen):
        pass
    told = products()
    told["orders"] = {name: order.token for name, order in orders().items()}
    told["mails"] = mails(directory / "mails")
    return told


def products() -> dict[str, Any]:
    """Review one product, and name those whose pages differ."""
    from pasargad.catalog.models import Product, Variant
    from pasargad.reviews.models import Status
    from pasargad.reviews.services import review_decide, review_write

    in_stock = Variant.objects.filter(made_to_order=False, on_hand__gte=8, product__state="published").order_by("pk")[0]
    product = in_stock.product
    for number, (rating, title, text) in enumerate(REVIEWS):
        order = deliver(paid(in_stock, email=f"reader{number}@example.org"))
        review = review_write(order=order, product_id=product.pk, rating=rating, author="Ada", title=title, text=text)
        review_decide(review.pk, Status.APPROVED, actor="staff")
    other = Product.objects.exclude(pk=product.pk).filter(state="published").order_by("pk").first() or product
    sold_out = Product.objects.filter(state="published", variants__on_hand=0).exclude(variants__made_to_order=True)
    solid = Product.objects.filter(shape__isnull=False).order_by("pk").first()
    return {
        "product": product.slug,
        "sku": in_stock.sku,
        "other": other.slug,
        "category": product.category.slug,
        "sold_out": found.slug if (found := sold_out.first()) else "",
        "solid": solid.slug if solid else "",
    }


def orders() -> dict[str, Any]:
    """Return an order in each state, brought there by the shop's own services."""
    from django.utils import timezone

    from pasargad.catalog.models import Variant
    from pasargad.orders.models import Order, Status
    from pasargad.orders.returns import Wish, return_accept, return_request
    from pasargad.payments.refunds import order_refund, refund_settle
    from pasargad.payments.services import order_withdraw, orders_expire

    first, *rest = Variant.objects.filter(product__state="published", on_hand__gte=4).order_by("-price_minor")[:3]
    made: dict[str, Any] = {"awaiting_payment": place(first, *rest)}
    made["expired"] = place(first)
    Order.objects.filter(pk=made["expired"].pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    orders_expire()
    made["cancelled"] = order_withdraw(place(first).pk, actor="shopper")
    made["paid"] = paid(first, *rest)
    made["processing"] = moved(paid(first), Status.PROCESSING)
    made["ready_for_pickup"] = moved(paid(first, delivery="pickup"), Status.READY_FOR_PICKUP)
    made["shipped"] = send(paid(first, *rest))
    made["delivered"] = deliver(paid(first))
    returned = made["returned"] = deliver(paid(first))
    asked = return_request(returned.pk, Wish({returned.lines.get().pk: 1}, "unwanted"), key="a" * 32)
    return_accept(asked.pk, actor="staff", answer="Please put it into its own box again.")
    due = made["refund_due"] = paid(first)
    refund = order_refund(due.pk, due.total_minor, "We cannot print this colour at the moment.", actor="staff")
    assert refund.pk
    back = made["refunded"] = paid(first)
    settle(order_refund(back.pk, back.total_minor, "A wish of the shopper.", actor="staff"), refund_settle)
    return {name: Order.objects.get(pk=order.pk) for name, order in made.items()}


def place(*variants: Any, email: str = "ada@example.org", delivery: str = "shipping") -> Any:
    from testing.factories import BUYER, NO_LIMIT, make_cart

    from pasargad.orders.services import order_place

    buyer = replace(BUYER, email=email, delivery=delivery, note="Please leave it with the neighbours.")
    cart = make_cart(*((variant, 1) for variant in variants))
    return order_place(cart, buyer, key=f"{next(_numbers):032d}", agreed_total_minor=NO_LIMIT)


def paid(*variants: Any, **buyer: str) -> Any:
    from testing.money import make_paid

    from pasargad.orders.models import Order

    order = place(*variants, **buyer)
    make_paid(order)
    return Order.objects.get(pk=order.pk)


def moved(order: Any, to: Any) -> Any:
    from django.db import transaction

    from pasargad.orders.services import order_lock, order_move

    with transaction.atomic():
        return order_move(order_lock(order.pk), to, actor="staff")


def send(order: Any) -> Any:
    from pasargad.shipments.models import TrackingEvent
    from pasargad.shipments.services import shipment_prepare, shipment_send

    shipment = shipment_prepare(order.pk)
    shipment_send(shipment.pk, actor="staff", tracking_number=f"92055901649173120000{order.pk:04d}")
    when = datetime.fromisoformat("2026-03-02T08:30:00+00:00")
    for step, place_ in (("Accepted by the carrier", "Boston, MA"), ("Left the sorting centre", "Albany, NY")):
        TrackingEvent.objects.create(shipment=shipment, status="transit", text=step, place=place_, at=when)
        when += timedelta(hours=9)
    return order


def deliver(order: Any) -> Any:
    from pasargad.orders.models import Status

    send(order)
    return moved(order, Status.DELIVERED)


def settle(refund: Any, settled: Any) -> None:
    """Let the provider's word about a refund come in."""
    from pasargad.payments.gateway import Sent

    names = Sent.__dataclass_fields__
    known = {
        "id": "re_pages_1", "status": "succeeded", "amount": refund.amount_minor, "currency": refund.attempt.currency,
        "intent_id": refund.attempt.intent_id, "refund_key": refund.idempotency_key, "key": refund.idempotency_key,
        "error": "", "reason": "", "failure_reason": "",
    }  # fmt: skip
    settled(Sent(**{name: known[name] for name in names}), actor="provider")


def mails(folder: Path) -> list[str]:
    """Write one mail of each kind that the orders above caused."""
    from pasargad.notifications.content import content_of
    from pasargad.notifications.models import Mail

    folder.mkdir()
    found = {mail.kind: mail for mail in Mail.objects.order_by("pk") if not mail.kind.startswith("staff_")}
    for kind, mail in found.items():
        content = content_of(mail)
        (folder / f"{kind}.html").write_text(content.html, encoding="utf-8")
        (folder / f"{kind}.txt").write_text(f"{content.subject}\n\n{content.text}", encoding="utf-8")
    return sorted(found)


if __name__ == "__main__":
    import django

    django.setup()
    print(json.dumps(main(int(sys.argv[1]), Path(sys.argv[2]))))
