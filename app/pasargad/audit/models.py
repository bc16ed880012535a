"""What staff did: rows that are only ever added, and the chain that shows whether one was lost or changed.

An act's row is written in the transaction of the act. Its link in the chain is made by a deferred trigger while that
transaction commits, so that writers wait for each other only for that moment, and hold no lock that others wait for.
"""

from __future__ import annotations

from typing import Any

from django.db import models


class Entry(models.Model):
    """One act. `actor` and `target` are words, not references: they outlive what they name.

    `changes` is {field: [before, after]}; values that are secret or personal are masked before they get here.
    """

    at = models.DateTimeField(auto_now_add=True)
    actor_id = models.BigIntegerField(null=True)
    actor = models.CharField(max_length=254)
    address = models.CharField(max_length=45, blank=True)
    action = models.CharField(max_length=40)
    target_type = models.CharField(max_length=60, blank=True)
    target_id = models.CharField(max_length=40, blank=True)
    target = models.CharField(max_length=120, blank=True)
    changes: models.JSONField[Any, Any] = models.JSONField(default=dict)
    request_id = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [("export_entry", "Can export the audit log")]
        verbose_name = "act"
        indexes = [
            models.Index(fields=["at"], name="audit_entry_at"),
            models.Index(fields=["target_type", "target_id"], name="audit_entry_target"),
            models.Index(fields=["actor"], name="audit_entry_actor"),
        ]

    def __str__(self) -> str:
        return f"{self.action} by {self.actor}"


class Link(models.Model):
    """A place in the chain: `digest` is the SHA-256 of the digest before it and of the entry's content.

    Only the database writes it: whatever an INSERT says is replaced by what the chain demands.
    """

    position = models.BigIntegerField(primary_key=True)
    entry = models.OneToOneField(Entry, on_delete=models.PROTECT, related_name="link")
    previous = models.BinaryField(max_length=32)
    digest = models.BinaryField(max_length=32)

    class Meta:
        ordering = ["position"]
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.position)
