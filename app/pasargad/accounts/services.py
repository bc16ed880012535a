"""Changes of accounts."""

from __future__ import annotations

from collections.abc import Mapping

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib.auth.password_validation import validate_password
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import ngettext

from .exceptions import AddressRefused
from .models import Address, User

MOST_ADDRESSES = 20
ADDRESS_FIELDS = ("name", "phone", "street", "street2", "city", "state", "zip", "country")


def ensure_admin(email: str, password: str) -> str:
    """Create the administrator, or bring the account and its password to what is asked; returns what was done.

    Raises ValidationError for a weak password.
    """
    with transaction.atomic():
        user = User.objects.select_for_update().filter(email__iexact=email).first()
        validate_password(password, user or User(email=email))
        if user is None:
            email_vouch(User.objects.create_superuser(email, password))
            return "created"
        email_vouch(user)
        right = user.is_staff and user.is_superuser and user.is_active
        if right and user.check_password(password):
            return "unchanged"
        user.is_staff = user.is_superuser = user.is_active = True
        user.set_password(password)
        user.save()
    return "updated"


def email_vouch(user: User) -> None:
    """Take an account's mail address as confirmed because an operator says so; nobody else's address is touched."""
    email = user.email.lower()
    if EmailAddress.objects.filter(email=email, verified=True).exclude(user=user).exists():
        return
    known = EmailAddress.objects.filter(user=user)
    if not known.filter(email=email).update(verified=True):
        EmailAddress.objects.create(user=user, email=email, verified=True, primary=not known.exists())


def email_claims_end(email: str, *, keep: User) -> None:
    """Delete other accounts that name an address without ever having proved it, once `keep` has proved it.

    Raises ProtectedError for one that owns something all the same.
    """
    proved = EmailAddress.objects.filter(user=OuterRef("pk"), verified=True)
    claims = User.objects.filter(
        ~Exists(proved), email__iexact=email, last_login=None, is_staff=False, is_superuser=False
    )
    for user in claims.exclude(pk=keep.pk):
        user.delete()


def second_factor_forget(email: str) -> int:
    """Delete somebody's second factors, so that the next sign-in leads to enrolment; returns how many there were.

    For an operator who knows that the person has lost them. Raises User.DoesNotExist.
    """
    user = User.objects.get(email__iexact=email)
    deleted, _by_model = Authenticator.objects.filter(user=user).delete()
    return deleted


def profile_save(user: User, *, name: str) -> None:
    User.objects.filter(pk=user.pk).update(name=name)
    user.name = name


def language_note(user: User, code: str) -> None:
    """Remember which language somebody reads, for mails that no page of theirs causes."""
    User.objects.filter(pk=user.pk).update(language=code)
    user.language = code


def address_save(user: User, values: Mapping[str, str], *, address_id: int | None = None, default: bool) -> Address:
    """Add an address, or change one of the person's; the first one is the default.

    Raises AddressRefused when there are too many, Address.DoesNotExist for somebody else's.
    """
    with transaction.atomic():
        known = _lock(user)
        if address_id is None:
            if known.count() >= MOST_ADDRESSES:
                text = ngettext(
                    "An address book holds at most %(most)d address.",
                    "An address book holds at most %(most)d addresses.",
                    MOST_ADDRESSES,
                )
                raise AddressRefused(text % {"most": MOST_ADDRESSES})
            address = Address(user=user)
        else:
            address = known.get(pk=address_id)
        for field in ADDRESS_FIELDS:
            setattr(address, field, values.get(field, ""))
        if default or not known.filter(is_default=True).exists():
            known.exclude(pk=address.pk).update(is_default=False)
            address.is_default = True
        address.save()
    return address


def address_keep(user: User, values: Mapping[str, str]) -> bool:
    """Save an address that a parcel goes to, if it is new and there is room; returns whether it was saved."""
    with transaction.atomic():
        known = _lock(user)
        typed = {field: values.get(field, "") for field in ADDRESS_FIELDS}
        if known.filter(**typed).exists() or known.count() >= MOST_ADDRESSES:
            return False
        address_save(user, typed, default=False)
    return True


def address_default(user: User, address_id: int) -> None:
    """Make one of the person's addresses the default; raises Address.DoesNotExist for somebody else's."""
    with transaction.atomic():
        known = _lock(user)
        address = known.get(pk=address_id)
        known.exclude(pk=address.pk).update(is_default=False)
        known.filter(pk=address.pk).update(is_default=True)


def address_delete(user: User, address_id: int) -> None:
    """Delete one of the person's addresses; the newest that is left becomes the default where that was it."""
    with transaction.atomic():
        known = _lock(user)
        address = known.get(pk=address_id)
        address.delete()
        if address.is_default and (next_one := known.first()):
            known.filter(pk=next_one.pk).update(is_default=True)


def _lock(user: User) -> QuerySet[Address]:
    """Lock the account, so that two tabs change its address book one after the other; returns the book."""
    User.objects.select_for_update().get(pk=user.pk)
    return Address.objects.filter(user=user)
