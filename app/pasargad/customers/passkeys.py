"""What a browser sends of a passkey, held to its form: the library lets a missing part through as a KeyError."""

from __future__ import annotations

from typing import Any

from allauth.mfa.adapter import get_adapter
from allauth.mfa.webauthn import forms as library


class _WithoutGaps:
    """An answer in which something is missing is a wrong one, not an error of ours."""

    def clean_credential(self) -> Any:
        try:
            return super().clean_credential()  # type: ignore[misc]
        except KeyError:
            raise get_adapter().validation_error("incorrect_code") from None


class AuthenticateForm(_WithoutGaps, library.AuthenticateWebAuthnForm):
    pass


class LoginForm(_WithoutGaps, library.LoginWebAuthnForm):
    pass


class ReauthenticateForm(_WithoutGaps, library.ReauthenticateWebAuthnForm):
    pass


class AddForm(library.AddWebAuthnForm):
    def clean(self) -> Any:
        try:
            return super().clean()
        except KeyError:
            raise get_adapter().validation_error("incorrect_code") from None
