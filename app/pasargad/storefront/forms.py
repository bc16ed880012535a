"""What shoppers type. Errors are tied to their fields for screen readers."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from django import forms
from django.conf import settings
from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _

from pasargad.orders.countries import country_name
from pasargad.orders.models import Delivery
from pasargad.orders.services import Buyer

KEY = RegexValidator(r"^[0-9a-f]{32}$", _("This form is damaged. Please load the page again."))
ADDRESS_FIELDS = ("street", "city", "zip", "country")


class AccessibleForm(forms.Form):
    """Django ties help and errors to their fields (aria-describedby, aria-invalid); labels need no colon."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)


class AddToCartForm(AccessibleForm):
    variant = forms.CharField(max_length=40, widget=forms.HiddenInput)
    quantity = forms.IntegerField(
        label=_("Quantity"), min_value=1, initial=1, widget=forms.NumberInput(attrs={"inputmode": "numeric"})
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["quantity"]
        field.widget.attrs |= {"min": "1", "max": str(settings.SHOP.cart_max_quantity)}


class QuantityForm(AccessibleForm):
    quantity = forms.IntegerField(
        min_value=0, error_messages={"invalid": _("Enter a whole number."), "required": _("Enter a whole number.")}
    )


class OrderFindForm(AccessibleForm):
    number = forms.CharField(max_length=20, label=_("Order number"))
    email = forms.EmailField(
        max_length=254, label=_("E-mail"), widget=forms.EmailInput(attrs={"autocomplete": "email"})
    )


def _text(
    label: str, autocomplete: str, *, longest: int, required: bool = True, help_text: str = ""
) -> forms.CharField:
    widget = forms.TextInput(attrs={"autocomplete": autocomplete})
    return forms.CharField(label=label, max_length=longest, required=required, widget=widget)


class CheckoutForm(AccessibleForm):
    """A guest's order. The hidden fields make a second click the same order, and a higher price a question."""

    email = forms.EmailField(
        label=_("E-mail"),
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
        help_text=_("We send the confirmation there."),
    )
    name = _text(_("Name"), "name", longest=120)
    phone = forms.CharField(
        label=_("Telephone"),
        max_length=40,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "tel", "type": "tel"}),
        validators=[RegexValidator(r"^[0-9+() ./-]{5,40}$", _("Write digits, for example +1 617 555 0100."))],
        help_text=_("Only for questions about the delivery."),
    )
    delivery = forms.ChoiceField(
        label=_("Delivery"), choices=Delivery.choices, widget=forms.RadioSelect, initial=Delivery.SHIPPING.value
    )
    street = _text(_("Street and number"), "address-line1", longest=120, required=False)
    street2 = _text(_("Flat, floor, company"), "address-line2", longest=120, required=False)
    city = _text(_("City"), "address-level2", longest=80, required=False)
    state = _text(_("State or province"), "address-level1", longest=80, required=False)
    zip = _text(_("Postal code"), "postal-code", longest=20, required=False)
    country = forms.ChoiceField(
        label=_("Country"), required=False, widget=forms.Select(attrs={"autocomplete": "country"})
    )
    # Asked only of who has an address book.
    save_address = forms.BooleanField(label=_("Save this address in my address book"), required=False)
    # Which of these there are depends on the rest of the form: placing the order refuses what cannot be had.
    method = forms.CharField(required=False, max_length=20)
    point = forms.CharField(required=False, max_length=20)
    coupon = forms.CharField(label=_("Coupon code"), required=False, max_length=60)
    note = forms.CharField(label=_("Note"), max_length=500, required=False, widget=forms.Textarea(attrs={"rows": 2}))
    agree_total_minor = forms.IntegerField(min_value=0, widget=forms.HiddenInput)
    idempotency_key = forms.CharField(validators=[KEY], widget=forms.HiddenInput)

    def __init__(self, *args: Any, countries: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        codes = countries or settings.SHIPPING.countries
        self.fields["country"].choices = [(code, country_name(code)) for code in codes]  # type: ignore[attr-defined]
        for name in ("email", "name"):
            self.fields[name].error_messages["required"] = _("Please fill this in.")
        self.fields["country"].initial = codes[0] if codes else ""
        if not settings.SHIPPING.pickup_enabled:
            self.fields["delivery"].choices = Delivery.choices[:1]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        shipped = cleaned.get("delivery") == Delivery.SHIPPING
        for name in ADDRESS_FIELDS:
            if shipped and name not in self.errors and not cleaned.get(name):
                self.add_error(name, _("We need this to send your parcel."))
        if cleaned.get("delivery") == Delivery.PICKUP:
            cleaned |= dict.fromkeys((*ADDRESS_FIELDS, "street2", "state", "method"), "")
        else:
            cleaned["point"] = ""
        return cleaned

    def buyer(self) -> Buyer:
        names = Buyer.__dataclass_fields__.keys()
        return Buyer(**{name: self.cleaned_data.get(name, "") for name in names})


def fresh_key() -> str:
    return secrets.token_hex(16)
