"""What templates are given: plain values with addresses, prices and words ready to be shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.core.files.storage import default_storage
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, ngettext

from pasargad.cart.models import CartLine
from pasargad.catalog.models import Product, ProductImage, Variant
from pasargad.catalog.money import Money
from pasargad.catalog.selectors import SOLD_OUT, Availability, Branch, availability_of
from pasargad.orders.presenting import discount_lines, tax_lines
from pasargad.orders.quoting import Quote
from pasargad.shipping.rules import Option

NEW_FOR = timedelta(days=30)


@dataclass(frozen=True)
class Picture:
    alt: str
    width: int
    height: int
    src: str
    srcset_avif: str
    srcset_webp: str
    srcset_jpeg: str
    color: str


@dataclass(frozen=True)
class Stock:
    state: str
    left: int | None
    lead_days: int
    text: str

    @property
    def buyable(self) -> bool:
        return self.state != "sold_out"


@dataclass(frozen=True)
class Card:
    name: str
    url: str
    price: Money
    price_varies: bool
    picture: Picture | None
    stock: Stock
    material: str
    badge: str


@dataclass(frozen=True)
class VariantView:
    sku: str
    name: str
    options: list[tuple[str, str]]
    color: str
    price: Money
    stock: Stock
    selected: bool
    url: str


@dataclass(frozen=True)
class Node:
    name: str
    slug: str
    url: str
    count: int
    children: list[Node]


@dataclass(frozen=True)
class Crumb:
    name: str
    url: str


@dataclass(frozen=True)
class Choice:
    label: str
    value: str
    url: str
    active: bool


@dataclass
class Line:
    """A line of the cart; `errors` and `typed` show a quantity that was refused."""

    id: int
    sku: str
    name: str
    options: list[tuple[str, str]]
    url: str
    picture: Picture | None
    quantity: int
    unit_price: Money
    total: Money
    stock: Stock
    problem: str
    errors: list[str] = field(default_factory=list)
    typed: str = ""


@dataclass(frozen=True)
class CartView:
    lines: list[Line]
    pieces: int
    subtotal: Money
    problems: list[str]

    @property
    def empty(self) -> bool:
        return not self.lines


@dataclass(frozen=True)
class DeliveryChoice:
    """A method or a place to collect at, as a radio button shows it."""

    value: str
    label: str
    detail: str
    price: Money
    checked: bool


@dataclass(frozen=True)
class QuoteView:
    """`discounts` and `taxes` are labelled amounts; `coupon_problem` says why the cart's coupon is idle."""

    subtotal: Money
    discounts: list[tuple[str, Money]]
    goods: Money
    shipping: Money
    tax: Money
    taxes: list[tuple[str, Money]]
    total: Money
    tax_inclusive: bool
    shipping_method: str
    delivery: str
    methods: list[DeliveryChoice]
    points: list[DeliveryChoice]
    undeliverable: bool
    coupon: str
    coupon_problem: str


def picture(image: ProductImage | None) -> Picture | None:
    if image is None or not image.renditions:
        return None
    first = image.renditions[0]["name"]
    # All names of a picture are plain and stand in one place: one question to the storage answers for all of them.
    base = default_storage.url(first).removesuffix(first)
    return _picture(base, image.digest, image.alt, image) if image.digest else None


class _Pictures(dict[tuple[str, str, str], Picture]):
    """What was worked out already; a picture's renditions follow from its digest, so nothing in here grows old."""

    LIMIT = 5000


_pictures = _Pictures()


def _picture(base: str, digest: str, alt: str, image: ProductImage) -> Picture:
    key = (base, digest, alt)
    found = _pictures.get(key)
    if found is None:
        if len(_pictures) >= _Pictures.LIMIT:
            _pictures.clear()
        found = _pictures[key] = _work_out(base, image)
    return found


def _work_out(base: str, image: ProductImage) -> Picture:
    sets: dict[str, list[dict[str, Any]]] = {}
    for item in image.renditions:
        sets.setdefault(item["format"], []).append(item)

    def srcset(name: str) -> str:
        return ", ".join(f"{base}{item['name']} {item['width']}w" for item in sets.get(name, []))

    jpegs = sets.get("jpeg") or image.renditions
    middle = min(jpegs, key=lambda item: abs(item["width"] - 640))
    return Picture(
        alt=image.alt,
        width=image.width,
        height=image.height,
        src=base + middle["name"],
        srcset_avif=srcset("avif"),
        srcset_webp=srcset("webp"),
        srcset_jpeg=srcset("jpeg"),
        color=image.color,
    )


def stock(found: Availability) -> Stock:
    if found.left > settings.SHOP.low_stock_from:
        return Stock("in_stock", None, settings.SHIPPING.handling_days, "In stock")
    if found.left > 0:
        return Stock("low", found.left, settings.SHIPPING.handling_days, f"Only {found.left} left")
    if found.made_to_order:
        days = found.lead_days + settings.SHIPPING.handling_days
        return Stock("made_to_order", None, days, f"Made to order, leaves in {days} working days")
    return Stock("sold_out", 0, 0, "Sold out")


def card(product: Product, availability: dict[int, Availability]) -> Card:
    fresh = product.published_at is not None and timezone.now() - product.published_at < NEW_FOR
    return Card(
        name=product.name,
        url=reverse("product", args=[product.slug]),
        price=Money(product.price_minor, settings.SHOP.currency),
        price_varies=product.price_to_minor > product.price_minor,
        picture=picture(product.cover),
        stock=stock(availability.get(product.pk, SOLD_OUT)),
        material=product.material,
        badge="new" if fresh else "",
    )


def variant_view(product: Product, variant: Variant, selected: bool) -> VariantView:
    return VariantView(
        sku=variant.sku,
        name=variant.name,
        options=pairs(variant.options),
        color=variant.color,
        price=variant.price,
        stock=stock(availability_of(variant)),
        selected=selected,
        url=f"{reverse('product', args=[product.slug])}?{urlencode({'variant': variant.sku})}",
    )


def node(branch: Branch) -> Node:
    children = [node(child) for child in branch.children]
    return Node(branch.name, branch.slug, reverse("category", args=[branch.slug]), branch.count, children)


def pairs(options: Iterable[Any]) -> list[tuple[str, str]]:
    return [(str(name), str(value)) for name, value in options]


def cart_view(lines: list[CartLine]) -> CartView:
    shown = [_line(line) for line in lines]
    currency = settings.SHOP.currency
    return CartView(
        lines=shown,
        pieces=sum(line.quantity for line in shown),
        subtotal=Money(sum(line.total.minor for line in shown), currency),
        problems=[f"{line.name}: {line.problem}" for line in shown if line.problem],
    )


def _line(line: CartLine) -> Line:
    variant, product = line.variant, line.variant.product
    found = availability_of(variant)
    problem = ""
    if not variant.is_active or product.state != Product.State.PUBLISHED:
        problem = "This article is no longer sold. Please remove it."
    elif not found.made_to_order and line.quantity > found.left:
        problem = f"Only {found.left} left. Please lower the quantity." if found.left else "Sold out. Please remove it."
    return Line(
        id=line.pk,
        sku=variant.sku,
        name=product.name,
        options=pairs(variant.options),
        url=f"{reverse('product', args=[product.slug])}?{urlencode({'variant': variant.sku})}",
        picture=picture(product.cover),
        quantity=line.quantity,
        unit_price=variant.price,
        total=Money(variant.price_minor * line.quantity, variant.currency),
        stock=stock(found),
        problem=problem,
    )


def quote_view(quote: Quote) -> QuoteView:
    price, currency = quote.price, settings.SHOP.currency

    def money(minor: int) -> Money:
        return Money(minor, currency)

    applied = ((found.offer.name, found.offer.code, sum(found.cuts)) for found in price.applied)
    collected = quote.wish.delivery == "pickup"
    return QuoteView(
        subtotal=money(price.subtotal),
        discounts=discount_lines(applied, currency),
        goods=money(price.subtotal - price.discount),
        shipping=money(price.shipping),
        tax=money(price.tax),
        taxes=tax_lines(((found.name, found.ppm, found.tax_minor) for found in price.taxes), currency),
        total=money(price.total),
        tax_inclusive=price.tax_inclusive,
        shipping_method=gettext("Pick-up") if collected else (quote.option.method.name if quote.option else ""),
        delivery=quote.wish.delivery,
        methods=[_method_choice(option, option == quote.option, currency) for option in quote.options],
        points=[
            DeliveryChoice(
                value=str(point.id),
                label=point.name,
                detail=" · ".join(filter(None, (", ".join(point.lines[1:-1]), point.opening_hours))),
                price=money(0),
                checked=point == quote.point,
            )
            for point in quote.points
        ],
        undeliverable=quote.undeliverable,
        coupon=quote.coupon,
        coupon_problem=quote.coupon_problem,
    )


def _method_choice(option: Option, checked: bool, currency: str) -> DeliveryChoice:
    low, high = option.method.days
    days = f"{low}-{high}" if low != high else str(low)
    time = ngettext("%(days)s working day on the way", "%(days)s working days on the way", high) % {"days": days}
    return DeliveryChoice(
        value=option.value,
        label=option.method.name,
        detail=" · ".join(filter(None, (option.method.description, time if high else ""))),
        price=Money(option.price_minor, currency),
        checked=checked,
    )
