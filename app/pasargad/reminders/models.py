"""Who asked to be reminded of a cart that was left."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class ReminderConsent(models.Model):
    """There is one exactly while the person agrees."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="reminder_consent")
    agreed_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return str(self.user_id)
