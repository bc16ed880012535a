"""What templates are given: plain values with addresses, prices and words ready to be shown."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.core.files.storage import default_storage
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language, gettext, ngettext

from pasargad.cart.models import CartLine
from pasargad.catalog.availability import Availability
from pasargad.catalog.cards import CardRow, Cover
from pasargad.catalog.models import Product, ProductImage
from pasargad.catalog.money import Money
from pasargad.catalog.selectors import Branch, VariantRow, availability_of
from pasargad.memory import worked_out
from pasargad.orders.presenting import discount_lines, house_words, tax_lines
from pasargad.orders.quoting import Quote
from pasargad.reviews.models import Review
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


# Neither cards nor shelves are compared by what they say: what is shown again is the same object.
@dataclass(frozen=True, eq=False)
class Card:
    name: str
    url: str
    price: Money
    price_varies: bool
    picture: Picture | None
    stock: Stock
    material: str
    badge: str
    rating: Rating | None = None


@dataclass(frozen=True)
class Rating:
    """The mean of approved reviews in tenths of a star, and how many there are."""

    tenths: int
    count: int

    @property
    def text(self) -> str:
        return f"{self.tenths // 10}.{self.tenths % 10}"

    @property
    def width(self) -> int:
        """How much of a row of five stars, each 20 wide, is filled."""
        return self.tenths * 2


@dataclass(frozen=True)
class VariantView:
    sku: str
    name: str
    options: tuple[tuple[str, str], ...]
    color: str
    price: Money
    stock: Stock
    selected: bool
    url: str


@dataclass(frozen=True, eq=False)
class Node:
    name: str
    slug: str
    url: str
    count: int
    children: tuple[Node, ...]


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


def picture(image: ProductImage | Cover | None) -> Picture | None:
    """Show a stored picture, given as a model or as a row whose renditions are JSON text."""
    if image is None or not image.digest:
        return None
    base = _media_base()
    key = (base, image.digest, image.alt)
    found = _pictures.get(key)
    if found is None:
        renditions = json.loads(image.renditions) if isinstance(image.renditions, str) else image.renditions
        if not renditions:
            return None
        if len(_pictures) >= _Pictures.LIMIT:
            _pictures.clear()
        found = _pictures[key] = _work_out(base, image, renditions)
    return found


def _media_base() -> str:
    """Return what stands before a name: all names of pictures are plain and stand in one place."""
    return _base_of(settings.MEDIA_URL, settings.STORAGE)


@lru_cache(maxsize=8)
def _base_of(media_url: str, storage: Any) -> str:
    return default_storage.url("x").removesuffix("x")


class _Pictures(dict[tuple[str, str, str], Picture]):
    """What was worked out already; a picture's renditions follow from its digest, so nothing in here grows old."""

    LIMIT = 5000


_pictures = _Pictures()


def _work_out(base: str, image: ProductImage | Cover, renditions: list[dict[str, Any]]) -> Picture:
    sets: dict[str, list[dict[str, Any]]] = {}
    for item in renditions:
        sets.setdefault(item["format"], []).append(item)

    def srcset(name: str) -> str:
        return ", ".join(f"{base}{item['name']} {item['width']}w" for item in sets.get(name, []))

    jpegs = sets.get("jpeg") or renditions
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
        return Stock("in_stock", None, settings.SHIPPING.handling_days, gettext("In stock"))
    if found.left > 0:
        left = ngettext("Only %(left)d left", "Only %(left)d left", found.left) % {"left": found.left}
        return Stock("low", found.left, settings.SHIPPING.handling_days, left)
    if found.made_to_order:
        days = found.lead_days + settings.SHIPPING.handling_days
        text = ngettext(
            "Made to order, leaves in %(days)d working day", "Made to order, leaves in %(days)d working days", days
        )
        return Stock("made_to_order", None, days, text % {"days": days})
    return Stock("sold_out", 0, 0, gettext("Sold out"))


def card(row: CardRow) -> Card:
    fresh = row.published_at is not None and timezone.now() - row.published_at < NEW_FOR
    return _card(row, fresh, get_language())


@worked_out(maxsize=5000)
def _card(row: CardRow, fresh: bool, language: str | None) -> Card:
    return Card(
        name=row.name,
        url=product_url(row.slug),
        price=Money(row.price_minor, settings.SHOP.currency),
        price_varies=row.price_to_minor > row.price_minor,
        picture=picture(row.cover),
        stock=stock(row.available),
        material=row.material,
        badge="new" if fresh else "",
        rating=rating(row.rating_sum, row.rating_count),
    )


def rating(total: int, count: int) -> Rating | None:
    """Return the mean, rounded half up to a tenth of a star; None without reviews."""
    return Rating((20 * total + count) // (2 * count), count) if count else None


@dataclass(frozen=True)
class ReviewView:
    rating: Rating
    title: str
    text: str
    author: str
    at: datetime
    reply: str


def reviews(found: Iterable[Review]) -> tuple[ReviewView, ...]:
    return tuple(
        ReviewView(Rating(10 * item.rating, 1), item.title, item.text, item.author, item.created_at, item.reply)
        for item in found
    )


@worked_out(maxsize=20_000)
def _product_url(slug: str, language: str | None) -> str:
    return reverse("product", args=[slug])


def product_url(slug: str) -> str:
    return _product_url(slug, get_language())


def variant_view(slug: str, variant: VariantRow, selected: bool) -> VariantView:
    return VariantView(
        sku=variant.sku,
        name=variant.name,
        options=tuple(pairs(variant.options)),
        color=variant.color,
        price=Money(variant.price_minor, variant.currency),
        stock=stock(variant.available),
        selected=selected,
        url=f"{product_url(slug)}?{urlencode({'variant': variant.sku})}",
    )


@worked_out(maxsize=64)
def _nodes(tree: tuple[Branch, ...], language: str | None) -> tuple[Node, ...]:
    return tuple(
        Node(
            branch.name, branch.slug, reverse("category", args=[branch.slug]), branch.count,
            _nodes(branch.children, language),
        )
        for branch in tree
    )  # fmt: skip


def nodes(tree: tuple[Branch, ...]) -> tuple[Node, ...]:
    """Show branches of the category tree."""
    return _nodes(tree, get_language())


def crumbs(way: Iterable[Branch]) -> list[Crumb]:
    """Show the way from the shop to a category."""
    return [
        Crumb(gettext("Shop"), reverse("product_list")),
        *(Crumb(branch.name, reverse("category", args=[branch.slug])) for branch in way),
    ]


def pairs(options: Any) -> list[tuple[str, str]]:
    """Return options as pairs; what staff wrote in another shape is left out, not an error of the page."""
    if not isinstance(options, list):
        return []
    return [(str(item[0]), str(item[1])) for item in options if isinstance(item, list | tuple) and len(item) == 2]


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
        problem = gettext("This article is no longer sold. Please remove it.")
    elif not found.made_to_order and line.quantity > found.left:
        problem = _too_many(found.left)
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


def _too_many(left: int) -> str:
    if not left:
        return gettext("Sold out. Please remove it.")
    text = ngettext(
        "Only %(left)d left. Please lower the quantity.", "Only %(left)d left. Please lower the quantity.", left
    )
    return text % {"left": left}


def quote_view(quote: Quote) -> QuoteView:
    price, currency = quote.price, settings.SHOP.currency

    def money(minor: int) -> Money:
        return Money(minor, currency)

    applied = ((found.offer.name, found.offer.code, sum(found.cuts)) for found in price.applied)
    collected = quote.wish.delivery == "pickup"
    method = quote.option.method.name if quote.option else ""
    return QuoteView(
        subtotal=money(price.subtotal),
        discounts=discount_lines(applied, currency),
        goods=money(price.subtotal - price.discount),
        shipping=money(price.shipping),
        tax=money(price.tax),
        taxes=tax_lines(((found.name, found.ppm, found.tax_minor) for found in price.taxes), currency),
        total=money(price.total),
        tax_inclusive=price.tax_inclusive,
        shipping_method=gettext("Pick-up") if collected else house_words(method),
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
        label=house_words(option.method.name),
        detail=" · ".join(filter(None, (option.method.description, time if high else ""))),
        price=Money(option.price_minor, currency),
        checked=checked,
    )
