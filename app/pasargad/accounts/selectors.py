"""What other apps ask of people."""

from __future__ import annotations

from allauth.account.models import EmailAddress

from .models import Address, User


def verified_emails(user: User) -> list[str]:
    """Return the mail addresses that the person has proved to read, in small letters."""
    return list(EmailAddress.objects.filter(user=user, verified=True).values_list("email", flat=True))


def addresses_of(user: User) -> list[Address]:
    """Return the address book, the default first."""
    return list(Address.objects.filter(user=user))
