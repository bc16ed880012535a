"""What comes out. Fields may be added to these; none is taken away or changes its meaning within a version."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from pasargad.catalog.money import Money


class Shown(BaseModel):
    model_config = ConfigDict(frozen=True, json_schema_serialization_defaults_required=True)


class Amount(Shown):
    """Whole minor units; the text is for people."""

    minor: int
    currency: str
    text: str


def amount(money: Money) -> Amount:
    return Amount(minor=money.minor, currency=money.currency, text=str(money))


class Labelled(Shown):
    label: str
    amount: Amount


class Stock(Shown):
    state: str = Field(description="in_stock, low, made_to_order or sold_out")
    left: int | None = Field(description="Pieces, where few are left")
    lead_days: int = Field(description="Working days until it leaves")


class Picture(Shown):
    url: str
    alt: str
    width: int
    height: int


class Rating(Shown):
    tenths: int = Field(description="Of a star: 43 is 4.3 stars")
    count: int


class ProductCard(Shown):
    slug: str
    name: str
    url: str
    material: str
    price: Amount
    price_to: Amount
    stock: Stock
    picture: Picture | None
    rating: Rating | None
    published_at: datetime | None


class FacetValue(Shown):
    value: str
    count: int


class Facet(Shown):
    name: str = Field(description="Of the parameter: material, colour, or the code of an attribute")
    label: str
    values: list[FacetValue]


class ProductList(Shown):
    items: list[ProductCard]
    next: str | None = Field(description="Cursor of the next page; null at the end")
    total: int | None = Field(description="null where facets were not asked for")
    exact: bool
    searched: str = Field(description="The words that were looked for; empty without a search")
    facets: list[Facet]


class Option(Shown):
    name: str
    value: str


class VariantShown(Shown):
    sku: str
    name: str
    options: list[Option]
    color: str
    price: Amount
    stock: Stock
    weight_grams: int
    sides_mm: list[int]


class AttributeShown(Shown):
    name: str
    value: str
    sku: str = Field(description="Empty: of the whole product")


class CategoryName(Shown):
    slug: str
    name: str


class ProductShown(Shown):
    slug: str
    name: str
    url: str
    summary: str
    description: str
    material: str
    care: str
    category: CategoryName
    variants: list[VariantShown]
    attributes: list[AttributeShown]
    pictures: list[Picture]
    rating: Rating | None
    published_at: datetime | None


class CategoryShown(Shown):
    slug: str
    name: str
    count: int = Field(description="Published products in it and below")
    children: list[CategoryShown]


class CategoryList(Shown):
    items: list[CategoryShown]


class CartLineShown(Shown):
    line: int
    sku: str
    name: str
    options: list[Option]
    quantity: int
    unit_price: Amount
    total: Amount
    stock: Stock
    problem: str = Field(description="Why it cannot be ordered so; empty: it can")


class CartShown(Shown):
    lines: list[CartLineShown]
    pieces: int
    subtotal: Amount
    coupon: str
    coupon_problem: str
    discounts: list[Labelled]
    goods: Amount = Field(description="After discounts")


class CartMade(Shown):
    token: str = Field(description="Send it as X-Cart-Token. Whoever has it has the cart")
    cart: CartShown


class MethodShown(Shown):
    method: str
    name: str
    price: Amount
    days_from: int
    days_to: int


class PointShown(Shown):
    point: str
    name: str
    address: list[str]
    opening_hours: str


class QuoteShown(Shown):
    subtotal: Amount
    discounts: list[Labelled]
    shipping: Amount
    tax: Amount
    tax_inclusive: bool
    taxes: list[Labelled]
    total: Amount
    deliverable: bool
    method: str | None
    methods: list[MethodShown]
    point: str | None
    points: list[PointShown]
    coupon: str
    coupon_problem: str


class PaymentShown(Shown):
    """How an order is paid: on the provider's page, or by its script with the client secret."""

    state: str = Field(description="payable, not_due, or unavailable: begin it later with POST …/pay")
    pay_url: str | None
    client_secret: str | None
    publishable_key: str | None
    amount: Amount


class OrderLineShown(Shown):
    sku: str
    name: str
    options: list[Option]
    quantity: int
    unit_price: Amount
    total: Amount


class EventShown(Shown):
    at: datetime
    text: str


class OrderShown(Shown):
    number: str
    token: str
    status: str
    status_text: str
    can_pay: bool
    can_cancel: bool
    placed_at: datetime
    expires_at: datetime
    email: str
    delivery: str
    address: list[str]
    lines: list[OrderLineShown]
    subtotal: Amount
    discounts: list[Labelled]
    shipping: Amount
    tax: Amount
    tax_inclusive: bool
    total: Amount
    refunded: Amount
    history: list[EventShown]
    parcels: list[ParcelTold]


class ParcelTold(Shown):
    state: str
    carrier: str
    tracking_number: str
    tracking_url: str


class OrderPlaced(Shown):
    token: str
    number: str
    status: str
    payment: PaymentShown


class ReturnLineShown(Shown):
    sku: str
    quantity: int


class ReturnShown(Shown):
    number: int
    state: str
    reason: str
    comment: str
    answer: str
    lines: list[ReturnLineShown]


class ReturnList(Shown):
    items: list[ReturnShown]
    returnable: list[ReturnLineShown]


class StaffOrder(Shown):
    number: str
    status: str
    placed_at: datetime
    email: str
    name: str
    phone: str
    delivery: str
    address: list[str]
    note: str
    lines: list[OrderLineShown]
    total: Amount
    refunded: Amount
    refundable_minor: int | None = Field(description="null in lists")


class StaffOrderList(Shown):
    items: list[StaffOrder]
    next: str | None


class ParcelShown(Shown):
    parcel: int
    order: str
    state: str
    tracking_number: str
    lines: list[ReturnLineShown]


class RefundShown(Shown):
    refund: int
    order: str
    status: str
    amount: Amount
    reason: str


class StockShown(Shown):
    sku: str
    on_hand: int
    reserved: int
    available: int


class StockMoved(Shown):
    movement: int
    kind: str
    quantity: int
    stock: StockShown


class StaffProduct(Shown):
    slug: str
    name: str
    state: str
    summary: str
    description: str
    material: str
    care: str
    featured: bool


class FlagList(Shown):
    flags: dict[str, bool]


class FieldErrorShown(BaseModel):
    place: str
    field: str
    detail: str


class ProblemShown(BaseModel):
    """RFC 9457: what is wrong."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldErrorShown] | None = None


def options(pairs: Any) -> list[Option]:
    """Show pairs of a name and a value; what staff wrote in another shape is left out."""
    if not isinstance(pairs, list | tuple):
        return []
    found = [pair for pair in pairs if isinstance(pair, list | tuple) and len(pair) == 2]
    return [Option(name=str(name), value=str(value)) for name, value in found]
