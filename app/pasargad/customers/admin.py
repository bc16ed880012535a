"""What staff see of sign-ins: no secrets, and nothing that could be typed in to become somebody else."""

from __future__ import annotations

from typing import Any

from allauth.account import admin as _account  # noqa: F401  # what the library registers is replaced below
from allauth.account.models import EmailAddress, EmailConfirmation
from allauth.mfa import admin as _mfa  # noqa: F401
from allauth.mfa.models import Authenticator
from allauth.socialaccount import admin as _social  # noqa: F401
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from allauth.usersessions import admin as _sessions  # noqa: F401
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.http import HttpRequest

from pasargad.readonly import ReadOnly


class AuthenticatorAdmin(ReadOnly):
    """Whoever lost a second factor is helped by deleting it."""

    list_display = ("user", "type", "created_at", "last_used_at")
    list_filter = ("type",)
    search_fields = ("user__email",)
    fields = ("user", "type", "created_at", "last_used_at")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return admin.ModelAdmin.has_delete_permission(self, request, obj)


class EmailAddressAdmin(ReadOnly):
    list_display = ("email", "user", "primary", "verified")
    search_fields = ("email",)


for _model in (EmailAddress, EmailConfirmation, Authenticator, SocialAccount, SocialApp, SocialToken, UserSession):
    if admin.site.is_registered(_model):
        admin.site.unregister(_model)
admin.site.register(Authenticator, AuthenticatorAdmin)
admin.site.register(EmailAddress, EmailAddressAdmin)
