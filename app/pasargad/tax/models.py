"""What is taxed how and where. Where no zone fits, the one rate of the settings (TAX_BASIS_POINTS) holds."""

from __future__ import annotations

from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q

from pasargad.catalog.fields import country_codes, texts
from pasargad.catalog.models import Category, Product


class TaxClass(models.Model):
    """Goods with rates of their own, for example books; everything else is of the standard class."""

    code = models.SlugField(max_length=20, unique=True)
    name = models.CharField(max_length=60)

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "tax classes"

    def __str__(self) -> str:
        return self.name


class TaxAssignment(models.Model):
    """One product, or one category with everything below it, is of a class; the closest assignment counts."""

    tax_class = models.ForeignKey(TaxClass, on_delete=models.CASCADE, related_name="assignments")
    product = models.OneToOneField(Product, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    category = models.OneToOneField(Category, on_delete=models.CASCADE, null=True, blank=True, related_name="+")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(product__isnull=True) ^ Q(category__isnull=True),
                name="tax_assignment_of_one",
                violation_error_message="Choose either a product or a category.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.product or self.category}: {self.tax_class}"


class TaxZone(models.Model):
    """Where rates hold. The closest zone counts: postcode before state before country, then the position."""

    name = models.CharField(max_length=80)
    countries = country_codes(help_text="Codes with commas: DE,AT. Empty: everywhere else.")
    states = texts(80, help_text="With commas, as shoppers write them: CA,California. Empty: all.")
    postcodes = texts(20, help_text="Beginnings of postcodes, with commas: 941,902. Empty: all.")
    prices_contain_tax = models.BooleanField(help_text="Yes: prices are with this tax. No: it is added at checkout.")
    position = models.PositiveSmallIntegerField(default=0)
    is_active = models.BooleanField(default=True)

    class Meta:
        ordering = ["position", "id"]

    def __str__(self) -> str:
        return self.name


class TaxRate(models.Model):
    """Several rates of one class add up; each is shown by its name. A zone without rates takes no tax."""

    zone = models.ForeignKey(TaxZone, on_delete=models.CASCADE, related_name="rates")
    tax_class = models.ForeignKey(
        TaxClass, on_delete=models.PROTECT, null=True, blank=True, related_name="+", help_text="Empty: standard"
    )
    name = models.CharField(max_length=40, help_text="As shoppers see it: VAT, GST")
    ppm = models.PositiveIntegerField(
        "rate in millionths", validators=[MaxValueValidator(1_000_000)], help_text="8.875 % is 88750"
    )
    on_shipping = models.BooleanField("also on shipping", default=True, help_text="Only of standard rates")

    class Meta:
        ordering = ["id"]
        constraints = [models.CheckConstraint(condition=Q(ppm__lte=1_000_000), name="tax_rate_at_most_all")]

    def __str__(self) -> str:
        return f"{self.name} {self.ppm / 10_000:g} %"
