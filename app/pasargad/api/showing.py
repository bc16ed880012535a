"""From what selectors and services return to what the API shows."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.core.files.storage import default_storage
from django.urls import reverse

from pasargad.cart.models import Cart, CartLine
from pasargad.cart.selectors import cart_lines
from pasargad.catalog.availability import Availability
from pasargad.catalog.cards import CardRow, Cover
from pasargad.catalog.models import Product, ProductImage, Variant
from pasargad.catalog.money import Money
from pasargad.catalog.selectors import ProductDetail, VariantRow, availability_of
from pasargad.orders.coupons import shopper_of
from pasargad.orders.models import Order
from pasargad.orders.presenting import OrderLineView, discount_lines, order_view, tax_lines
from pasargad.orders.quoting import Quote, Wish, quote_lines
from pasargad.orders.return_models import ReturnRequest
from pasargad.payments.models import PaymentAttempt, Refund
from pasargad.payments.refunds import refundable
from pasargad.shipments.models import Shipment
from pasargad.shipments.selectors import shipments_of

from . import answers
from .answers import amount, options


def money(minor: int) -> answers.Amount:
    return amount(Money(minor, settings.SHOP.currency))


def labelled(found: list[tuple[str, Money]]) -> list[answers.Labelled]:
    return [answers.Labelled(label=label, amount=amount(value)) for label, value in found]


def product_url(slug: str) -> str:
    return f"{settings.SITE_URL}{reverse('product', args=[slug])}"


def stock(found: Availability) -> answers.Stock:
    """Say how goods can be had, as pages do."""
    handling = settings.SHIPPING.handling_days
    if found.left > settings.SHOP.low_stock_from:
        return answers.Stock(state="in_stock", left=None, lead_days=handling)
    if found.left > 0:
        return answers.Stock(state="low", left=found.left, lead_days=handling)
    if found.made_to_order:
        return answers.Stock(state="made_to_order", left=None, lead_days=found.lead_days + handling)
    return answers.Stock(state="sold_out", left=0, lead_days=0)


def picture(image: Cover | ProductImage | None) -> answers.Picture | None:
    if image is None or not image.renditions:
        return None
    found: list[dict[str, Any]] = (
        json.loads(image.renditions) if isinstance(image.renditions, str) else image.renditions
    )
    jpegs = [item for item in found if item["format"] == "jpeg"] or found
    if not jpegs:
        return None
    middle = min(jpegs, key=lambda item: abs(item["width"] - 640))
    url = default_storage.url(middle["name"])
    # A bucket has an address of its own; the local disk's begins at the shop's.
    absolute = url if "://" in url else f"{settings.SITE_URL}{url}"
    return answers.Picture(url=absolute, alt=image.alt, width=middle["width"], height=middle["height"])


def rating(total: int, count: int) -> answers.Rating | None:
    return answers.Rating(tenths=(20 * total + count) // (2 * count), count=count) if count else None


def card(row: CardRow) -> answers.ProductCard:
    return answers.ProductCard(
        slug=row.slug,
        name=row.name,
        url=product_url(row.slug),
        material=row.material,
        price=money(row.price_minor),
        price_to=money(row.price_to_minor),
        stock=stock(row.available),
        picture=picture(row.cover),
        rating=rating(row.rating_sum, row.rating_count),
        published_at=row.published_at,
    )


def product(found: ProductDetail) -> answers.ProductShown:
    return answers.ProductShown(
        slug=found.slug,
        name=found.name,
        url=product_url(found.slug),
        summary=found.summary,
        description=found.description,
        material=found.material,
        care=found.care,
        category=answers.CategoryName(slug=found.category.slug, name=found.category.name),
        variants=[variant(row) for row in found.variants],
        attributes=[answers.AttributeShown(name=name, value=value, sku=sku) for name, value, sku in found.attributes],
        pictures=[shown for image in found.images if (shown := picture(image))],
        rating=rating(found.rating_sum, found.rating_count),
        published_at=found.published_at,
    )


def variant(row: VariantRow) -> answers.VariantShown:
    return answers.VariantShown(
        sku=row.sku,
        name=row.name,
        options=options(row.options),
        color=row.color,
        price=amount(Money(row.price_minor, row.currency)),
        stock=stock(row.available),
        weight_grams=row.weight_grams,
        sides_mm=list(row.sides_mm),
    )


def cart(found: Cart) -> answers.CartShown:
    """Show a cart with what promotions take off: where it goes, and so the rest of the price, a quote says."""
    lines = cart_lines(found)
    shown = [cart_line(line) for line in lines]
    subtotal = sum(line.total.minor for line in shown)
    quote = quote_lines(lines, Wish(), coupon=found.coupon_code, shopper=shopper_of(found)) if lines else None
    return answers.CartShown(
        lines=shown,
        pieces=sum(line.quantity for line in shown),
        subtotal=money(subtotal),
        coupon=found.coupon_code,
        coupon_problem=quote.coupon_problem if quote else "",
        discounts=discounts(quote) if quote else [],
        goods=money(quote.price.subtotal - quote.price.discount if quote else 0),
    )


def cart_line(line: CartLine) -> answers.CartLineShown:
    goods, found = line.variant, availability_of(line.variant)
    problem = ""
    if not goods.is_active or goods.product.state != Product.State.PUBLISHED:
        problem = "This article is no longer sold."
    elif not found.made_to_order and line.quantity > found.left:
        problem = f"Only {found.left} left." if found.left else "Sold out."
    return answers.CartLineShown(
        line=line.pk,
        sku=goods.sku,
        name=goods.product.name,
        options=options(goods.options),
        quantity=line.quantity,
        unit_price=amount(goods.price),
        total=amount(Money(goods.price_minor * line.quantity, goods.currency)),
        stock=stock(found),
        problem=problem,
    )


def discounts(quote: Quote) -> list[answers.Labelled]:
    applied = ((found.offer.name, found.offer.code, sum(found.cuts)) for found in quote.price.applied)
    return labelled(discount_lines(applied, settings.SHOP.currency))


def quote(found: Quote) -> answers.QuoteShown:
    price = found.price
    return answers.QuoteShown(
        subtotal=money(price.subtotal),
        discounts=discounts(found),
        shipping=money(price.shipping),
        tax=money(price.tax),
        tax_inclusive=price.tax_inclusive,
        taxes=labelled(
            tax_lines(((entry.name, entry.ppm, entry.tax_minor) for entry in price.taxes), settings.SHOP.currency)
        ),
        total=money(price.total),
        deliverable=not found.undeliverable and not found.choice_gone,
        method=found.option.value if found.option else None,
        methods=[
            answers.MethodShown(
                method=option.value,
                name=option.method.name,
                price=money(option.price_minor),
                days_from=option.method.days[0],
                days_to=option.method.days[1],
            )
            for option in found.options
        ],
        point=str(found.point.id) if found.point else None,
        points=[
            answers.PointShown(
                point=str(point.id), name=point.name, address=list(point.lines), opening_hours=point.opening_hours
            )
            for point in found.points
        ],
        coupon=found.coupon,
        coupon_problem=found.coupon_problem,
    )


def order_line(line: OrderLineView) -> answers.OrderLineShown:
    return answers.OrderLineShown(
        sku=line.sku,
        name=line.name,
        options=options(line.options),
        quantity=line.quantity,
        unit_price=amount(line.unit_price),
        total=amount(line.total),
    )


def order(found: Order) -> answers.OrderShown:
    latest = PaymentAttempt.objects.filter(order=found).order_by("-number").first()
    running = latest is not None and latest.status == PaymentAttempt.Status.PROCESSING
    view = order_view(found, payment_running=running)
    return answers.OrderShown(
        number=view.number,
        token=view.token,
        status=view.status,
        status_text=view.status_text,
        can_pay=view.can_pay,
        can_cancel=view.can_cancel,
        placed_at=view.placed_at,
        expires_at=view.expires_at,
        email=view.email,
        delivery=view.delivery,
        address=view.address_lines,
        lines=[order_line(line) for line in view.lines],
        subtotal=amount(view.subtotal),
        discounts=labelled(view.discounts),
        shipping=amount(view.shipping),
        tax=amount(view.tax),
        tax_inclusive=view.tax_inclusive,
        total=amount(view.total),
        refunded=amount(view.refunded),
        history=[answers.EventShown(at=at, text=text) for at, text in view.history],
        parcels=[
            answers.ParcelTold(
                state=parcel.state,
                carrier=parcel.tracking_carrier,
                tracking_number=parcel.tracking_number,
                tracking_url=parcel.tracking_url,
            )
            for parcel in shipments_of(found)
        ],
    )


def staff_order(found: Order, *, with_money: bool) -> answers.StaffOrder:
    view = order_view(found)
    return answers.StaffOrder(
        number=view.number,
        status=view.status,
        placed_at=view.placed_at,
        email=view.email,
        name=view.name,
        phone=found.phone,
        delivery=view.delivery,
        address=view.address_lines,
        note=view.note,
        lines=[order_line(line) for line in view.lines],
        total=amount(view.total),
        refunded=amount(view.refunded),
        refundable_minor=refundable(found) if with_money else None,
    )


def returned(request: ReturnRequest) -> answers.ReturnShown:
    return answers.ReturnShown(
        number=request.number,
        state=request.state,
        reason=request.reason,
        comment=request.comment,
        answer=request.answer,
        lines=[
            answers.ReturnLineShown(sku=row.line.sku, quantity=row.quantity)
            for row in request.lines.select_related("line")
        ],
    )


def parcel(found: Shipment) -> answers.ParcelShown:
    return answers.ParcelShown(
        parcel=found.pk,
        order=found.order.number,
        state=found.state,
        tracking_number=found.tracking_number,
        lines=[
            answers.ReturnLineShown(sku=row.order_line.sku, quantity=row.quantity)
            for row in found.lines.select_related("order_line")
        ],
    )


def refund(found: Refund, number: str) -> answers.RefundShown:
    return answers.RefundShown(
        refund=found.pk,
        order=number,
        status=found.status,
        amount=amount(Money(found.amount_minor, found.attempt.currency)),
        reason=found.reason,
    )


def stock_of(found: Variant) -> answers.StockShown:
    return answers.StockShown(sku=found.sku, on_hand=found.on_hand, reserved=found.reserved, available=found.available)


def staff_product(found: Product) -> answers.StaffProduct:
    return answers.StaffProduct(
        slug=found.slug,
        name=found.name,
        state=found.state,
        summary=found.summary,
        description=found.description,
        material=found.material,
        care=found.care,
        featured=found.featured,
    )
