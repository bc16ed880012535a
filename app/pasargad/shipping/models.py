"""How orders reach shoppers: zones with their methods and weight tables, and places to collect at.

Without an active zone the settings (SHIPPING_*) make one of their own; without a place to collect, the workshop is it.
"""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q

from pasargad.catalog.fields import COUNTRY_CODE, country_codes, texts


class ShippingZone(models.Model):
    """The closest zone counts: the longest beginning of the postcode, then the country, then the position."""

    name = models.CharField(max_length=80)
    countries = country_codes(help_text="Codes with commas: US,CA. Empty: everywhere that no other zone names.")
    postcodes = texts(20, help_text="Beginnings of postcodes, with commas: 967,968. Empty: all.")
    position = models.PositiveSmallIntegerField(default=0)
    is_active = models.BooleanField(default=True)

    class Meta:
        ordering = ["position", "id"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if self.postcodes and not self.countries:
            raise ValidationError({"countries": "Postcodes need their country."})


class ShippingMethod(models.Model):
    """What one way of sending costs: by its weight table, or, without one, a base and so much a kilogram begun."""

    class Carrier(models.TextChoices):
        OWN = "own", "By hand: we write the number in"
        SHIPPO = "shippo", "Shippo"

    zone = models.ForeignKey(ShippingZone, on_delete=models.CASCADE, related_name="methods")
    name = models.CharField(max_length=60, help_text="As shoppers see it")
    description = models.CharField(max_length=120, blank=True)
    base_minor = models.PositiveIntegerField("base price (minor units)", default=0)
    per_kilogram_minor = models.PositiveIntegerField("for each kilogram begun (minor units)", default=0)
    free_from_minor = models.PositiveIntegerField(
        "free from (minor units)",
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Goods worth this much before discounts go free. Empty: never.",
    )
    max_grams = models.PositiveIntegerField("heaviest parcel (g)", null=True, blank=True)
    max_length_mm = models.PositiveIntegerField("longest side of a piece (mm)", null=True, blank=True)
    max_width_mm = models.PositiveIntegerField("second side of a piece (mm)", null=True, blank=True)
    max_height_mm = models.PositiveIntegerField("shortest side of a piece (mm)", null=True, blank=True)
    days_min = models.PositiveSmallIntegerField("working days on the way, at least", default=2)
    days_max = models.PositiveSmallIntegerField("working days on the way, at most", default=5)
    carrier = models.CharField(max_length=10, choices=Carrier, default=Carrier.OWN)
    service = models.CharField(max_length=60, blank=True, help_text="The carrier's name of the service: usps_priority")
    position = models.PositiveSmallIntegerField(default=0)
    is_active = models.BooleanField(default=True)

    class Meta:
        ordering = ["position", "id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(days_min__lte=F("days_max")),
                name="shipping_method_days",
                violation_error_message="At least must not be more than at most.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.zone}: {self.name}"


class WeightBand(models.Model):
    """Parcels up to this weight cost this much; heavier than the last band is not taken."""

    method = models.ForeignKey(ShippingMethod, on_delete=models.CASCADE, related_name="bands")
    up_to_grams = models.PositiveIntegerField(validators=[MinValueValidator(1)])
    price_minor = models.PositiveIntegerField()

    class Meta:
        ordering = ["up_to_grams"]
        constraints = [models.UniqueConstraint(fields=["method", "up_to_grams"], name="shipping_band_once")]

    def __str__(self) -> str:
        return f"up to {self.up_to_grams} g"


class PickupPoint(models.Model):
    name = models.CharField(max_length=80)
    street = models.CharField(max_length=120)
    city = models.CharField(max_length=80)
    state = models.CharField(max_length=80, blank=True)
    zip = models.CharField(max_length=20, blank=True)
    country = models.CharField(max_length=2, validators=[COUNTRY_CODE])
    opening_hours = models.CharField(max_length=200, blank=True)
    position = models.PositiveSmallIntegerField(default=0)
    is_active = models.BooleanField(default=True)

    class Meta:
        ordering = ["position", "id"]

    def __str__(self) -> str:
        return self.name
