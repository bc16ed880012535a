"""What staff fill in on an order's work page; most acts only ask for a confirmation."""

from __future__ import annotations

from typing import Any

from django import forms

from pasargad.catalog.money import Money
from pasargad.orders.models import Order
from pasargad.reviews.models import Review
from pasargad.shipments.carriers.port import CarrierRate
from pasargad.shipments.models import Shipment
from pasargad.shipments.selectors import pieces_left
from pasargad.shipping.models import ShippingMethod


class ConfirmForm(forms.Form):
    """Nothing to fill in: sending it is the confirmation."""


class PackForm(forms.Form):
    """What goes into the parcel; without a change, all that is in none yet."""

    carrier = forms.ChoiceField(choices=ShippingMethod.Carrier.choices)

    def __init__(self, *args: Any, order: Order, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["carrier"].initial = order.shipping_carrier or ShippingMethod.Carrier.OWN
        left = pieces_left(order)
        self.lines = [line for line in order.lines.all() if left.get(line.pk)]
        fields: dict[str, forms.Field] = {
            f"pieces_{line.pk}": forms.IntegerField(
                label=f"{line.product_name} ({line.sku})",
                min_value=0,
                max_value=left[line.pk],
                initial=left[line.pk],
                help_text=f"At most {left[line.pk]}.",
            )
            for line in self.lines
        }
        self.fields = {**fields, **self.fields}

    def quantities(self) -> dict[int, int]:
        return {line.pk: self.cleaned_data[f"pieces_{line.pk}"] for line in self.lines}

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        counts = [cleaned.get(f"pieces_{line.pk}") for line in self.lines]
        if None not in counts and not any(counts):
            raise forms.ValidationError("Put at least one piece into the parcel.")
        return cleaned


class SendForm(forms.Form):
    tracking_number = forms.CharField(max_length=64, required=False, help_text="As it stands on the label.")

    def __init__(self, *args: Any, shipment: Shipment, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["tracking_number"].initial = shipment.tracking_number


class LabelForm(forms.Form):
    """What the carrier offers at this moment. A price that was seen is kept in the answer: a higher one is refused."""

    offer = forms.ChoiceField(widget=forms.RadioSelect)

    def __init__(self, *args: Any, rates: list[CarrierRate], shipment: Shipment, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rates = {_name(rate): rate for rate in rates}
        field: Any = self.fields["offer"]
        # One that was typed by hand, or has become cheaper, is still found by its name.
        field.choices = [(f"{name}:{rate.price_minor}", _label(rate)) for name, rate in self.rates.items()]
        wished = [value for value, _ in field.choices if value.split(":")[1] == shipment.service]
        field.initial = next(iter(wished or [value for value, _ in field.choices]), None)
        field.validators, field.valid_value = [], lambda value: True

    def clean_offer(self) -> CarrierRate:
        name, _, price = str(self.cleaned_data["offer"]).rpartition(":")
        rate = self.rates.get(name)
        if rate is None or not price.isdecimal() or len(price) > 9:
            raise forms.ValidationError("The carrier does not offer this any more. Please choose again.")
        if rate.price_minor > int(price):
            now = Money(rate.price_minor, rate.currency)
            raise forms.ValidationError(f"The price has risen to {now}. Please choose again.")
        return rate


class ReplyForm(forms.Form):
    reply = forms.CharField(
        max_length=2000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text="Shown below the review. Empty: no answer.",
    )

    def __init__(self, *args: Any, review: Review, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reply"].initial = review.reply


def _name(rate: CarrierRate) -> str:
    return f"{rate.carrier}:{rate.service}"


def _label(rate: CarrierRate) -> str:
    days = f", {rate.days} days" if rate.days else ""
    return f"{rate.name}: {Money(rate.price_minor, rate.currency)}{days}"
