"""Goods and carts for tests, made by the services that make the real ones."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

from pasargad.cart.models import Cart
from pasargad.cart.services import cart_add, cart_create
from pasargad.catalog.models import Category, Product, StockMovement, Variant
from pasargad.catalog.services import category_save, product_publish
from pasargad.catalog.stock import stock_move
from pasargad.orders.models import Order
from pasargad.orders.services import Buyer, order_place
from pasargad.promotions.models import Coupon, Promotion
from pasargad.shipping.models import ShippingMethod, ShippingZone, WeightBand
from pasargad.tax.models import TaxRate, TaxZone

_numbers = itertools.count(1)

BUYER = Buyer(
    email="ada@example.org",
    name="Ada Lovelace",
    phone="",
    delivery="shipping",
    street="1 Engine Street",
    city="Boston",
    state="MA",
    zip="02110",
    country="US",
)
NO_LIMIT = 10**9


def make_category(name: str = "Lamps", parent: Category | None = None) -> Category:
    number = next(_numbers)
    return category_save(Category(name=name, slug=f"{name.lower()}-{number}", parent=parent))


def make_product(*, category: Category | None = None, published: bool = True, **fields: Any) -> Product:
    number = next(_numbers)
    values: dict[str, Any] = {"name": f"Lamp {number}", "slug": f"lamp-{number}", "material": "PLA"} | fields
    product = Product.objects.create(category=category or make_category(), **values)
    return product_publish(product) if published else product


def make_variant(*, product: Product | None = None, stock: int = 5, **fields: Any) -> Variant:
    """Make a variant with stock that was received, of a published product."""
    number = next(_numbers)
    product = product or make_product()
    values: dict[str, Any] = {"sku": f"SKU-{number}", "price_minor": 1000, "currency": "usd", "weight_grams": 200}
    variant = Variant.objects.create(product=product, **(values | fields))
    if stock:
        stock_move(variant.pk, stock, kind=StockMovement.Kind.RECEIVED)
    if product.state == Product.State.PUBLISHED:
        product_publish(product)
    variant.refresh_from_db()
    return variant


def make_cart(*lines: tuple[Variant, int]) -> Cart:
    cart = cart_create()
    for variant, quantity in lines:
        cart_add(cart, variant, quantity)
    return cart


def make_order(*lines: tuple[Variant, int], buyer: Buyer = BUYER) -> Order:
    cart = make_cart(*(lines or ((make_variant(), 1),)))
    return order_place(cart, buyer, key="0" * 32, agreed_total_minor=NO_LIMIT)


def make_zone(*methods: dict[str, Any], countries: Iterable[str] = ("US",), **fields: Any) -> ShippingZone:
    """Make a shipping zone with methods; a method's `bands` are pairs of a greatest weight and a price."""
    zone = ShippingZone.objects.create(
        name=f"Zone {next(_numbers)}", countries=list(countries), **({"postcodes": []} | fields)
    )
    for number, wanted in enumerate(methods):
        bands = wanted.pop("bands", ())
        method = ShippingMethod.objects.create(zone=zone, position=number, **({"name": f"Method {number}"} | wanted))
        for up_to, price in bands:
            WeightBand.objects.create(method=method, up_to_grams=up_to, price_minor=price)
    return zone


def make_tax_zone(*rates: tuple[str, int], inclusive: bool = False, **fields: Any) -> TaxZone:
    """Make a tax zone with standard rates: names and millionths."""
    values: dict[str, Any] = {"name": f"Tax {next(_numbers)}", "countries": ["US"], "prices_contain_tax": inclusive}
    zone = TaxZone.objects.create(**(values | fields))
    for name, ppm in rates:
        TaxRate.objects.create(zone=zone, name=name, ppm=ppm)
    return zone


def make_promotion(kind: str = "percentage", **fields: Any) -> Promotion:
    values: dict[str, Any] = {"name": f"Offer {next(_numbers)}", "kind": kind}
    if kind == "percentage":
        values["basis_points"] = 1000
    return Promotion.objects.create(**(values | fields))


def make_coupon(code: str = "SAVE10", *, limit: int | None = None, **promotion: Any) -> Coupon:
    return Coupon.objects.create(promotion=make_promotion(**promotion), code=code, limit=limit)
