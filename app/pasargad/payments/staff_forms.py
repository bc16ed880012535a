"""What staff fill in to give money back and to answer returns."""

from __future__ import annotations

import secrets
from decimal import Decimal
from typing import Any

from django import forms

from pasargad.catalog.money import Money
from pasargad.orders.models import Order
from pasargad.orders.parcels import pieces_sent
from pasargad.orders.return_models import ReturnRequest
from pasargad.orders.returns import Arrived, pieces_in_returns, return_value

from .pieces import Piece
from .refunds import refundable


def _amount(currency: str, most: int) -> forms.DecimalField:
    return forms.DecimalField(
        label=f"Amount ({currency.upper()})",
        min_value=Money(1, currency).decimal,
        max_value=Money(most, currency).decimal,
        decimal_places=Money(0, currency).exponent,
        help_text=f"At most {Money(most, currency)}.",
    )


class RefundForm(forms.Form):
    """Part or all of an order's money; the hidden key makes a second click the same refund."""

    reason = forms.CharField(max_length=200, help_text="The buyer may read this.")
    request_key = forms.CharField(max_length=32, widget=forms.HiddenInput)

    def __init__(self, *args: Any, order: Order, **kwargs: Any) -> None:
        kwargs.setdefault("initial", {"request_key": secrets.token_hex(16)})
        super().__init__(*args, **kwargs)
        self.order, self.lines = order, list(order.lines.all())
        returned, sent = pieces_in_returns(order), pieces_sent(order)
        fields: dict[str, forms.Field] = {"amount": _amount(order.currency, refundable(order))}
        for line in self.lines:
            left = line.quantity - line.refunded_quantity - returned.get(line.pk, 0)
            if left < 1:
                continue
            fields[f"pieces_{line.pk}"] = forms.IntegerField(
                label=f"{line.product_name} ({line.sku}): pieces",
                min_value=0,
                max_value=left,
                required=False,
                help_text=f"{Money(line.unit_price_minor, order.currency)} each, at most {left}.",
            )
            if not line.made_to_order:
                fields[f"restock_{line.pk}"] = forms.BooleanField(
                    label="… and put them back into stock", required=False
                )
            if 0 < sent.get(line.pk, 0) < line.owed:
                fields[f"sent_{line.pk}"] = forms.BooleanField(
                    label="… of the pieces that were sent already",
                    help_text="Otherwise pieces that were not sent yet are meant, and are not sent any more.",
                    required=False,
                )
        self.fields = {**fields, **self.fields}

    @property
    def amount_minor(self) -> int:
        return _minor(self.cleaned_data["amount"], self.order.currency)

    def pieces(self) -> list[Piece]:
        data = self.cleaned_data
        return [
            Piece(
                line,
                data[f"pieces_{line.pk}"],
                restock=bool(data.get(f"restock_{line.pk}")),
                sent=bool(data.get(f"sent_{line.pk}")),
            )
            for line in self.lines
            if data.get(f"pieces_{line.pk}")
        ]


class AnswerForm(forms.Form):
    answer = forms.CharField(
        label="What the buyer reads", max_length=500, widget=forms.Textarea(attrs={"rows": 4}), required=True
    )


class AcceptForm(AnswerForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["answer"].required = False
        self.fields["answer"].help_text = "The address is in the mail already."


class ReceiveForm(forms.Form):
    """What came back, sorted by what becomes of it."""

    note = forms.CharField(max_length=500, required=False)

    def __init__(self, *args: Any, request: ReturnRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rows = list(request.lines.select_related("line"))
        fields: dict[str, forms.Field] = {}
        for row in self.rows:
            name = f"{row.line.product_name} ({row.line.sku})"
            fields[f"restock_{row.pk}"] = _count(f"{name}: back into stock", row.quantity)
            fields[f"write_off_{row.pk}"] = _count(f"{name}: written off", row.quantity)
        self.fields = {**fields, **self.fields}

    def arrived(self) -> dict[int, Arrived]:
        data = self.cleaned_data
        return {
            row.pk: Arrived(data.get(f"restock_{row.pk}") or 0, data.get(f"write_off_{row.pk}") or 0)
            for row in self.rows
        }


class ReturnRefundForm(forms.Form):
    def __init__(self, *args: Any, request: ReturnRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.currency = request.order.currency
        most = refundable(request.order)
        self.fields["amount"] = _amount(self.currency, most)
        self.fields["amount"].initial = Money(min(return_value(request), most), self.currency).decimal

    @property
    def amount_minor(self) -> int:
        return _minor(self.cleaned_data["amount"], self.currency)


def _count(label: str, most: int) -> forms.IntegerField:
    return forms.IntegerField(label=label, min_value=0, max_value=most, required=False, initial=0)


def _minor(amount: Decimal, currency: str) -> int:
    return int(amount.scaleb(Money(0, currency).exponent))
