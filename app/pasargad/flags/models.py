"""How staff have switched flags, and who switched what when."""

from __future__ import annotations

from typing import Any

from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import F, Q


class FlagRule(models.Model):
    """The rule of one flag; a flag without a row has its default. Off is off for everybody, staff included."""

    name = models.CharField(max_length=60, unique=True)
    is_on = models.BooleanField("on", default=False)
    percentage = models.PositiveSmallIntegerField(
        default=100, validators=[MaxValueValidator(100)], help_text="Of shoppers for whom it is on; personal flags only"
    )
    for_staff = models.BooleanField(default=False, help_text="On for all staff, whatever the percentage; personal only")
    starts_at = models.DateTimeField(null=True, blank=True, help_text="Off before")
    ends_at = models.DateTimeField(null=True, blank=True, help_text="Off from then on")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        verbose_name = "flag"
        constraints = [
            models.CheckConstraint(condition=Q(percentage__lte=100), name="flags_rule_percentage"),
            models.CheckConstraint(
                condition=Q(starts_at__isnull=True) | Q(ends_at__isnull=True) | Q(starts_at__lt=F("ends_at")),
                name="flags_rule_dates",
                violation_error_message="It must start before it ends.",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class FlagChange(models.Model):
    """One switching. Without `after` the flag went back to its default."""

    name = models.CharField(max_length=60, db_index=True)
    actor = models.CharField(max_length=100)
    before: models.JSONField[Any, Any] = models.JSONField(null=True)
    after: models.JSONField[Any, Any] = models.JSONField(null=True)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.name} by {self.actor}"
