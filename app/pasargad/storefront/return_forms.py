"""What a buyer fills in to return something, and how returns are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from pasargad.orders.models import Order
from pasargad.orders.return_models import RETURN_TRANSITIONS, ReturnReason, ReturnState
from pasargad.orders.returns import Returnable, Wish, return_address

from .forms import KEY, AccessibleForm


class ReturnForm(AccessibleForm):
    """One field for the pieces of each line; the hidden key makes a second click the same return."""

    reason = forms.ChoiceField(label=_("Why?"), choices=ReturnReason.choices, initial=ReturnReason.UNWANTED.value)
    comment = forms.CharField(
        label=_("What should we know?"),
        max_length=500,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    request_key = forms.CharField(validators=[KEY], widget=forms.HiddenInput)

    def __init__(self, *args: Any, lines: list[Returnable], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        pieces: dict[str, forms.Field] = {}
        for found in lines:
            name = f"pieces_{found.line.pk}"
            pieces[name] = forms.IntegerField(
                label=gettext("%(name)s: pieces to return") % {"name": _name(found)},
                min_value=0,
                max_value=found.left,
                required=False,
                initial=0,
                help_text=gettext("At most %(left)d") % {"left": found.left},
                widget=forms.NumberInput(attrs={"inputmode": "numeric"}),
                error_messages={"invalid": gettext("Enter a whole number.")},
            )
        self.fields = {**pieces, **self.fields}

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors and not any(self._pieces(cleaned).values()):
            asked = any(name.startswith("pieces_") for name in self.fields)
            nothing = gettext("Nothing of this order can be returned (any more).")
            self.add_error(None, gettext("Choose at least one piece.") if asked else nothing)
        return cleaned

    def wish(self) -> Wish:
        data = self.cleaned_data
        return Wish(quantities=self._pieces(data), reason=data["reason"], comment=data["comment"])

    def _pieces(self, cleaned: dict[str, Any]) -> dict[int, int]:
        prefix = "pieces_"
        return {
            int(name.removeprefix(prefix)): value or 0 for name, value in cleaned.items() if name.startswith(prefix)
        }


@dataclass(frozen=True)
class ReturnView:
    number: int
    state_text: str
    pieces: list[str]
    answer: str
    send_to: list[str]
    can_withdraw: bool


def return_views(order: Order) -> list[ReturnView]:
    """Show the returns of an order: two queries."""
    return [
        ReturnView(
            number=request.number,
            state_text=str(ReturnState(request.state).label),
            pieces=[f"{row.quantity} x {row.line.product_name}" for row in request.lines.all()],
            answer=request.answer,
            send_to=return_address() if request.state == ReturnState.ACCEPTED else [],
            can_withdraw=ReturnState.WITHDRAWN in RETURN_TRANSITIONS[ReturnState(request.state)],
        )
        for request in order.returns.prefetch_related("lines__line").order_by("number")
    ]


def _name(found: Returnable) -> str:
    options = ", ".join(str(value) for _label, value in found.line.options)
    return f"{found.line.product_name} ({options})" if options else found.line.product_name
