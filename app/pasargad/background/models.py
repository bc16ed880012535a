"""When periodic tasks were last started: the row makes workers on many machines start each of them once."""

from __future__ import annotations

from django.db import models


class PeriodicRun(models.Model):
    name = models.CharField(max_length=120, unique=True)
    next_at = models.DateTimeField()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
