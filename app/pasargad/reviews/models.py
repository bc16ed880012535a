"""What buyers say of goods they have. Shown once staff have read it."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from pasargad.catalog.models import Product
from pasargad.orders.models import Order


class Status(models.TextChoices):
    PENDING = "pending", _("Waiting to be read")
    APPROVED = "approved", _("Shown")
    REJECTED = "rejected", _("Not shown")


class Review(models.Model):
    """One of a product and a buyer. `buyer` is a digest of the buyer's mail address, so that an account and the guest
    orders before it are the same person; it names nobody."""

    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="reviews")
    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="reviews")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True)
    buyer = models.CharField(max_length=64, editable=False)
    author = models.CharField(max_length=60)
    rating = models.PositiveSmallIntegerField(validators=[MinValueValidator(1), MaxValueValidator(5)])
    title = models.CharField(max_length=120, blank=True)
    text = models.TextField(max_length=4000, blank=True)
    status = models.CharField(max_length=10, choices=Status, default=Status.PENDING)
    reply = models.TextField(max_length=2000, blank=True, help_text=_("The shop's answer, shown below the review"))
    created_at = models.DateTimeField(auto_now_add=True)
    decided_at = models.DateTimeField(null=True, blank=True, editable=False)
    decided_by = models.CharField(max_length=100, blank=True, editable=False)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["product", "buyer"], name="reviews_review_once"),
            models.CheckConstraint(condition=Q(rating__gte=1, rating__lte=5), name="reviews_review_rating"),
        ]
        indexes = [
            models.Index(
                fields=["product", "-created_at", "-id"], condition=Q(status="approved"), name="reviews_shown"
            ),
            models.Index(fields=["created_at"], condition=Q(status="pending"), name="reviews_queue"),
        ]

    def __str__(self) -> str:
        return f"{self.rating} of 5 for {self.product_id}"
