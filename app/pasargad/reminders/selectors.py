"""What pages ask of reminders."""

from __future__ import annotations

from pasargad.accounts.models import User

from .models import ReminderConsent


def agreed(user: User) -> bool:
    return ReminderConsent.objects.filter(user=user).exists()
