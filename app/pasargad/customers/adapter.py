"""What the shop decides where the sign-in library leaves it open: addresses, mails, and how secrets are stored."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialApp
from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings
from django.contrib import messages
from django.db import IntegrityError, transaction
from django.db.models.deletion import ProtectedError
from django.http import Http404, HttpRequest
from django.urls import reverse

from pasargad.accounts.services import email_claims_end
from pasargad.clients import client_address

from .mails import KIND_OF_NOTICE, account_mail


class AccountAdapter(DefaultAccountAdapter):
    """Mails are queued, never sent while somebody waits: how long an answer takes tells nothing of an address."""

    def get_client_ip(self, request: HttpRequest) -> str:
        """Return the client's address as our outermost proxy saw it; requests over our own socket have none."""
        address = client_address(request)
        try:
            return str(ipaddress.ip_address(address))
        except ValueError:
            return "0.0.0.0"  # noqa: S104

    def send_confirmation_mail(self, request: HttpRequest, emailconfirmation: Any, signup: bool) -> None:
        address: EmailAddress = emailconfirmation.email_address
        about = f"address-{address.pk}-user-{address.user_id}"
        account_mail("account_verify", about=about, recipient=address.email)

    def send_password_reset_mail(self, user: Any, email: str, context: dict[str, Any]) -> None:
        account_mail("account_reset", about=f"user-{user.pk}", recipient=email)

    def send_account_already_exists_mail(self, email: str) -> None:
        account_mail("account_exists", about="address", recipient=email)

    def send_notification_mail(
        self, template_prefix: str, user: Any, context: dict[str, Any] | None = None, email: str | None = None
    ) -> None:
        """Note whose account it is about: some go to an address that the account has just given up."""
        super().send_notification_mail(template_prefix, user, {**(context or {}), "about": f"user-{user.pk}"}, email)

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        if kind := KIND_OF_NOTICE.get(template_prefix):
            account_mail(kind, about=context.get("about", "address"), recipient=email)

    def get_reauthentication_methods(self, user: Any) -> list[dict[str, Any]]:
        """Who has neither a password nor a second factor (another provider's login) is led to set a password."""
        found = super().get_reauthentication_methods(user)
        return found or [{"id": "reset", "description": "", "url": reverse("account_reset_password")}]

    def confirm_email(self, request: HttpRequest, email_address: EmailAddress) -> bool:
        """Take an address as confirmed; one that meanwhile is another account's own stays unconfirmed.

        An account that merely claims it, and never proved it, has to give way.
        """
        try:
            with transaction.atomic():
                email_claims_end(email_address.email, keep=email_address.user)
                return bool(super().confirm_email(request, email_address))
        except (IntegrityError, ProtectedError):
            failed = "account/messages/email_confirmation_failed.txt"
            self.add_message(request, messages.ERROR, failed, {"email": email_address.email})
            return False


class OtherLoginsAdapter(DefaultSocialAccountAdapter):
    """A provider whose settings are not given does not exist."""

    def get_app(self, request: HttpRequest, provider: str, client_id: str | None = None) -> SocialApp:
        try:
            return super().get_app(request, provider, client_id=client_id)
        except SocialApp.DoesNotExist:
            raise Http404 from None


class SecondFactorAdapter(DefaultMFAAdapter):
    """Secrets of authenticators are encrypted with a key that follows from SECRET_KEY."""

    def encrypt(self, text: str) -> str:
        return _cipher().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return _cipher().decrypt(encrypted_text.encode()).decode()

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        return {**super().get_public_key_credential_rp_entity(), "name": settings.BUSINESS.name}


def _cipher() -> MultiFernet:
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return MultiFernet([Fernet(_key(key)) for key in keys])


def _key(secret: str) -> bytes:
    return base64.urlsafe_b64encode(hashlib.sha256(b"pasargad.second-factor:" + secret.encode()).digest())
