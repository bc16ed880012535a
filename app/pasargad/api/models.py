"""Keys of other programs, and the answers that a repeated request is given again."""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from .scopes import Scope


class ApiKey(models.Model):
    """A key is `pp_<prefix>_<secret>`: the prefix finds the row, and of the secret only its SHA-256 is stored.

    The secret has 256 random bits, so a plain digest is as good as a slow one.
    """

    name = models.CharField(max_length=80, help_text="Which program uses it")
    prefix = models.CharField(max_length=12, unique=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    scopes: ArrayField[Any, Any] = ArrayField(models.CharField(max_length=20, choices=Scope))
    per_minute = models.PositiveIntegerField(
        "requests a minute", default=600, validators=[MinValueValidator(1), MaxValueValidator(100_000)]
    )
    created_by = models.CharField(max_length=100, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: it does not expire")
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-id"]
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} (pp_{self.prefix}_…)"


class StoredAnswer(models.Model):
    """What a request with an Idempotency-Key brought about, written in the transaction of its effect.

    Without `finished_at` a second part (asking the payment provider) is under way until `leased_until`, or was cut off.
    """

    owner = models.CharField(max_length=64, help_text="Digest of who asked")
    key = models.CharField(max_length=64)
    digest = models.CharField(max_length=64, help_text="Of what was asked")
    status = models.PositiveSmallIntegerField(default=0)
    # JSON as it was sent: a column of JSON would put the names in another order.
    body = models.TextField(blank=True)
    leased_until = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["owner", "key"], name="api_answer_once")]

    def __str__(self) -> str:
        return f"{self.status} at {self.created_at}"
