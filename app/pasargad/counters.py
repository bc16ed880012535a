"""Columns that count: stock, uses of coupons, ratings. Only conditional UPDATEs change them."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models


class Counting(models.Model):
    """A model whose full save leaves its `COUNTERS` as the database has them.

    A form that was open while shoppers bought would otherwise write back the numbers that it was opened with.
    """

    COUNTERS: ClassVar[frozenset[str]] = frozenset()

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding and not kwargs.get("force_insert") and kwargs.get("update_fields") is None:
            fields = (field.name for field in self._meta.concrete_fields if not field.primary_key)
            kwargs["update_fields"] = [name for name in fields if name not in self.COUNTERS]
        super().save(*args, **kwargs)
