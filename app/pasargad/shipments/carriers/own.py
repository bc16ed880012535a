"""Parcels that staff take to the counter: priced by the shop's own tables, labelled and tracked by hand."""

from __future__ import annotations

from django.conf import settings

from pasargad.catalog.places import Destination
from pasargad.orders.quoting import shipping_zones
from pasargad.shipping.rules import Load, options

from ..exceptions import CarrierRefused
from .port import CarrierRate, Label, Parcel, Tracking


class OwnCarrier:
    def rates(self, parcel: Parcel) -> list[CarrierRate]:
        place = Destination(parcel.recipient.country, parcel.recipient.state, parcel.recipient.zip)
        load = Load(parcel.grams, 0, ((parcel.length_mm, parcel.width_mm, parcel.height_mm),))
        return [
            CarrierRate(
                id=f"own-{option.method.id}",
                carrier="own",
                service=option.method.service,
                name=option.method.name,
                price_minor=option.price_minor,
                currency=settings.SHOP.currency,
                days=option.method.days[1],
            )
            for option in options(place, shipping_zones(), load)
        ]

    def buy(self, rate_id: str, *, reference: str) -> Label:
        """There is nothing to buy: the number is written in when the parcel is handed over."""
        return Label(id=reference, tracking_number="", tracking_url="", label_url="")

    def find(self, rate_id: str) -> Label | None:
        return None

    def track(self, carrier: str, number: str) -> Tracking:
        raise CarrierRefused("Parcels that are taken to the counter are not tracked here.")
