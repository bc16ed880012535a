"""Rights that belong to no table: what a group of the staff may do beside reading and editing rows."""

from __future__ import annotations

from django.db import models


class Work(models.Model):
    class Meta:
        managed = False
        default_permissions = ()
        permissions = [
            ("cancel_order", "Can cancel an order that was not paid"),
            ("receive_return", "Can note what came back"),
            ("see_analytics", "Can see the figures of the shop"),
        ]
