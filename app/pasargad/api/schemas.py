"""What goes in. Every text has an end, every number has bounds, and nothing unknown passes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

BIGGEST = 2**31 - 1
# At least one sign that is no space, and no control characters: what a field of a form takes as filled in.
FILLED = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
PLAIN = r"^[^\x00-\x1f\x7f-\x9f]*$"
MAIL = (
    r"^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}$"
)


def line(longest: int, *, filled: bool = True) -> StringConstraints:
    """Describe one line of text."""
    return StringConstraints(min_length=int(filled), max_length=longest, pattern=FILLED if filled else PLAIN)


Mail = Annotated[str, StringConstraints(max_length=254, pattern=MAIL)]
Sku = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9-]{1,40}$")]
Pieces = Annotated[int, Field(ge=1, le=10_000)]
Minor = Annotated[int, Field(ge=0, le=BIGGEST)]
# What a text area takes: lines too.
Prose = Annotated[str, StringConstraints(max_length=20_000, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$")]


class Given(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ProductQuery(Given):
    q: str | None = Field(None, max_length=80, description="Words; misspelt ones are taken for the nearest known ones")
    category: str | None = Field(None, pattern=r"^[-a-zA-Z0-9_]{1,80}$", description="A category and all below it")
    material: tuple[str, ...] = Field((), max_length=10, description="Any of these")
    colour: tuple[str, ...] = Field((), max_length=10, description="Any of these")
    attribute: tuple[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,40}:[^\x00-\x1f]{1,60}$")], ...] = (
        Field((), max_length=10, description="`code:value` of a facet; any value of the same code")
    )
    available: bool | None = Field(None, description="true: only what can be bought now")
    price_from: int | None = Field(None, ge=0, le=BIGGEST, description="Minor units")
    price_below: int | None = Field(None, ge=0, le=BIGGEST, description="Minor units")
    sort: Literal["best", "newest", "price", "-price", "name"] | None = Field(
        None, description="`best` for searches, `newest` for all else, if it is not given"
    )
    facets: bool | None = Field(None, description="false: spare the counting of what else could be chosen")
    limit: int | None = Field(None, ge=1, le=100, description="24 if it is not given")
    cursor: str | None = Field(None, max_length=600, description="From `next` of the page before")


class LineToAdd(Given):
    sku: Sku
    quantity: Pieces = 1


class LineToChange(Given):
    quantity: int = Field(ge=0, le=10_000, description="0 takes the line out")


class CouponToTake(Given):
    code: Annotated[str, line(60)]


class ToAddress(Given):
    """Goods that travel."""

    kind: Literal["shipping"]
    name: Annotated[str, line(120)]
    street: Annotated[str, line(120)]
    street2: Annotated[str, line(120, filled=False)] = ""
    city: Annotated[str, line(80)]
    state: Annotated[str, line(80, filled=False)] = ""
    zip: Annotated[str, line(20)]
    country: str = Field(pattern="^[A-Z]{2}$", description="ISO 3166")
    method: str = Field("", pattern="^[0-9]{0,9}$", description="From a quote; empty: the cheapest")


class ToPoint(Given):
    """Goods that are collected."""

    kind: Literal["pickup"]
    name: Annotated[str, line(120)]
    point: str = Field("", pattern="^[0-9]{0,9}$", description="From a quote; empty: the first")


class PlaceOnly(Given):
    """As much of an address as prices depend on."""

    kind: Literal["shipping"]
    country: str = Field(pattern="^[A-Z]{2}$")
    state: Annotated[str, line(80, filled=False)] = ""
    zip: Annotated[str, line(20, filled=False)] = ""
    method: str = Field("", pattern="^[0-9]{0,9}$")


class PointOnly(Given):
    kind: Literal["pickup"]
    point: str = Field("", pattern="^[0-9]{0,9}$")


class QuoteWanted(Given):
    delivery: Annotated[PlaceOnly | PointOnly, Field(discriminator="kind")]
    email: Mail | None = Field(None, description="Taken and not used: no price depends on it")


class OrderToPlace(Given):
    email: Mail
    phone: str = Field("", pattern=r"^([0-9+()./-][0-9+() ./-]{3,38}[0-9+()./-])?$")
    delivery: Annotated[ToAddress | ToPoint, Field(discriminator="kind")]
    note: Annotated[str, line(500, filled=False)] = ""
    agreed_total_minor: Minor = Field(description="The total of the quote; a higher one is refused, a lower one taken")


class ReturnLineWanted(Given):
    sku: Sku
    quantity: Pieces


class ReturnWanted(Given):
    lines: tuple[ReturnLineWanted, ...] = Field(min_length=1, max_length=100)
    reason: Literal["unwanted", "damaged", "wrong", "faulty", "other"]
    comment: Annotated[str, line(500, filled=False)] = ""


class OrderQuery(Given):
    status: (
        Literal[
            "awaiting_payment",
            "paid",
            "processing",
            "ready_for_pickup",
            "shipped",
            "delivered",
            "expired",
            "cancelled",
            "refund_due",
            "refunded",
        ]
        | None
    ) = None
    email: str | None = Field(None, max_length=254, pattern=MAIL)
    placed_since: str | None = Field(None, pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])$")
    limit: int | None = Field(None, ge=1, le=100, description="24 if it is not given")
    cursor: str | None = Field(None, max_length=600)


class StatusWanted(Given):
    status: Literal["processing", "ready_for_pickup", "shipped", "delivered"]
    note: Annotated[str, line(300, filled=False)] = ""


class PackedLine(Given):
    sku: Sku
    quantity: Pieces


class ParcelToPack(Given):
    lines: tuple[PackedLine, ...] | None = Field(
        None, min_length=1, max_length=100, description="null: all that is left"
    )


class ParcelToSend(Given):
    tracking_number: str = Field("", pattern=r"^[A-Za-z0-9 -]{0,64}$")


class RefundLineWanted(Given):
    sku: Sku
    quantity: Pieces
    restock: bool = Field(False, description="Put the pieces back into stock: only before they have left")


class RefundWanted(Given):
    amount_minor: int = Field(ge=1, le=BIGGEST)
    reason: Annotated[str, line(200)]
    lines: tuple[RefundLineWanted, ...] = Field((), max_length=100)


class StockToMove(Given):
    quantity: Annotated[int, Field(ge=1, le=100_000)] | Annotated[int, Field(ge=-100_000, le=-1)] = Field(
        description="Pieces that come, or (below 0) go"
    )
    kind: Literal["received", "corrected"]
    note: Annotated[str, line(200, filled=False)] = ""


class ProductToChange(Given):
    """Only what is named is changed."""

    name: Annotated[str, line(120)] | None = None
    summary: Annotated[str, line(200, filled=False)] | None = None
    description: Prose | None = None
    material: Annotated[str, line(60, filled=False)] | None = None
    care: Prose | None = None
    featured: bool | None = None
