"""Changes of accounts."""

from __future__ import annotations

from django.contrib.auth.password_validation import validate_password
from django.db import transaction

from .models import User


def ensure_admin(email: str, password: str) -> str:
    """Create the administrator, or bring the account and its password to what is asked; returns what was done.

    Raises ValidationError for a weak password.
    """
    with transaction.atomic():
        user = User.objects.select_for_update().filter(email__iexact=email).first()
        validate_password(password, user or User(email=email))
        if user is None:
            User.objects.create_superuser(email, password)
            return "created"
        right = user.is_staff and user.is_superuser and user.is_active
        if right and user.check_password(password):
            return "unchanged"
        user.is_staff = user.is_superuser = user.is_active = True
        user.set_password(password)
        user.save()
    return "updated"
