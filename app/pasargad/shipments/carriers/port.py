"""What the shop asks of any carrier. Money in minor units, sizes in mm, weights in grams."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

PRE_TRANSIT, TRANSIT, PROBLEM, DELIVERED, RETURNED = "pre_transit", "transit", "problem", "delivered", "returned"


@dataclass(frozen=True)
class Party:
    name: str
    street: str
    street2: str
    city: str
    state: str
    zip: str
    country: str
    phone: str
    email: str


@dataclass(frozen=True)
class Parcel:
    sender: Party
    recipient: Party
    grams: int
    length_mm: int
    width_mm: int
    height_mm: int
    reference: str


@dataclass(frozen=True)
class CarrierRate:
    """`id` is what `buy` is given."""

    id: str
    carrier: str
    service: str
    name: str
    price_minor: int
    currency: str
    days: int


@dataclass(frozen=True)
class Label:
    id: str
    tracking_number: str
    tracking_url: str
    label_url: str


@dataclass(frozen=True)
class Step:
    status: str
    text: str
    place: str
    at: datetime


@dataclass(frozen=True)
class Tracking:
    carrier: str
    number: str
    steps: tuple[Step, ...]


class Carrier(Protocol):
    """Each function raises CarrierUnreachable when the outcome is unknown and CarrierRefused when it is a no."""

    def rates(self, parcel: Parcel) -> list[CarrierRate]: ...

    def buy(self, rate_id: str, *, reference: str) -> Label:
        """Buy a label. Never repeated by the adapter itself: a second call may buy a second one."""

    def find(self, rate_id: str) -> Label | None:
        """Return the label that was bought at this rate, or None if none was."""

    def track(self, carrier: str, number: str) -> Tracking: ...
