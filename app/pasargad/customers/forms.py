"""What people type to open an account, to sign in, and in their own area."""

from __future__ import annotations

from typing import Any

from allauth.account.forms import LoginForm as LibraryLoginForm
from allauth.account.forms import SignupForm as LibrarySignupForm
from django import forms
from django.contrib.auth.hashers import make_password
from django.core.validators import RegexValidator
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from pasargad.orders.countries import country_name
from pasargad.shipping.selectors import countries_served
from pasargad.storefront.forms import AccessibleForm


class SignupForm(LibrarySignupForm):
    """The answer to a known address takes as long as to a new one: both hash the password once."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)
        _bare(self)

    def try_save(self, request: HttpRequest) -> Any:
        if self.account_already_exists:
            make_password(self.cleaned_data["password1"])
        return super().try_save(request)


class LoginForm(LibraryLoginForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)
        _bare(self)


def _bare(form: forms.Form) -> None:
    """Labels say what a field is for; a second time inside it, fading as one types, they only confuse."""
    for field in form.fields.values():
        field.widget.attrs.pop("placeholder", None)


class ProfileForm(AccessibleForm):
    name = forms.CharField(
        label=_("Name"), max_length=150, required=False, widget=forms.TextInput(attrs={"autocomplete": "name"})
    )


class RemindersForm(AccessibleForm):
    agree = forms.BooleanField(label=_("Remind me by mail of a cart that I left"), required=False)


def _line(label: str, autocomplete: str, longest: int, *, required: bool = True) -> forms.CharField:
    widget = forms.TextInput(attrs={"autocomplete": autocomplete})
    return forms.CharField(label=label, max_length=longest, required=required, widget=widget)


class AddressForm(AccessibleForm):
    name = _line(_("Name"), "name", 120)
    phone = forms.CharField(
        label=_("Telephone"),
        max_length=40,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "tel", "type": "tel"}),
        validators=[RegexValidator(r"^[0-9+() ./-]{5,40}$", _("Write digits, for example +1 617 555 0100."))],
    )
    street = _line(_("Street and number"), "address-line1", 120)
    street2 = _line(_("Flat, floor, company"), "address-line2", 120, required=False)
    zip = _line(_("Postal code"), "postal-code", 20)
    city = _line(_("City"), "address-level2", 80)
    state = _line(_("State or province"), "address-level1", 80, required=False)
    country = forms.ChoiceField(label=_("Country"), widget=forms.Select(attrs={"autocomplete": "country"}))
    is_default = forms.BooleanField(label=_("Send parcels here unless I choose otherwise"), required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        codes = list(countries_served())
        known = str(self.initial.get("country", ""))
        # An address that we do not serve any more can still be kept.
        codes += [known] if known and known not in codes else []
        self.fields["country"].choices = [(code, country_name(code)) for code in codes]  # type: ignore[attr-defined]


class EraseForm(AccessibleForm):
    confirm = forms.BooleanField(
        label=_("Yes, delete my account and everything about me"),
        error_messages={"required": _("Please tick this box, so that nothing is deleted by accident.")},
    )
