"""What goes with what: worked out in the background, so that pages only read it."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from pasargad.catalog.models import Product


class Kind(models.TextChoices):
    TOGETHER = "together", "Bought together"
    SIMILAR = "similar", "Similar"


class Recommendation(models.Model):
    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="recommendations")
    other = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=10, choices=Kind)
    score = models.FloatField()
    place = models.PositiveSmallIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["product", "kind", "place"], name="recommendations_place_once"),
            models.CheckConstraint(condition=~Q(product=F("other")), name="recommendations_other"),
        ]

    def __str__(self) -> str:
        return f"{self.product_id} {self.kind} {self.other_id}"
