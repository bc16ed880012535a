"""What the API takes, the shop's own form takes too: the two never check differently to a buyer's harm."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from testing.api import ADDRESS, order_body

from pasargad.api.schemas import MAIL, OrderQuery, OrderToPlace, ReturnWanted, StatusWanted
from pasargad.orders.models import Status
from pasargad.orders.return_models import ReturnReason
from pasargad.storefront.forms import CheckoutForm

IN_ADDRESS = ("name", "street", "street2", "city", "state", "zip")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=130)
ODD = st.sampled_from(
    ["", " ", "\u2003", "a\nb", "\x00", "\x1f", "a" * 121, "Ünïcode", "'; --", "<b>", "\u200b", "\x85"]
)
MAILS = st.one_of(
    st.from_regex(MAIL, fullmatch=True),
    st.sampled_from(
        ["a@b", "a@b.c", "@b.de", "a b@c.de", "a@-b.de", "a@b-.de", "a..b@c.de", "a@b.de\n", "a@" + "b" * 64 + ".de"]
    ),
)


def api_takes(field: str, value: str) -> OrderToPlace | None:
    changes: dict[str, Any] = {"delivery": {**ADDRESS, field: value}} if field in IN_ADDRESS else {field: value}
    try:
        return OrderToPlace.model_validate(order_body(100, **changes))
    except ValidationError:
        return None


def form_takes(body: OrderToPlace) -> bool:
    values = {**body.model_dump(exclude={"delivery"}), **body.delivery.model_dump(exclude={"kind"})}
    values |= {"delivery": "shipping", "agree_total_minor": "100", "idempotency_key": "0" * 32}
    form = CheckoutForm(values, countries=["US"])
    return form.is_valid()


@given(field=st.sampled_from([*IN_ADDRESS, "phone", "note"]), value=st.one_of(TEXTS, ODD))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_texts(field: str, value: str):
    if body := api_takes(field, value):
        assert form_takes(body), (field, value)


@given(value=MAILS)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_mail_addresses(value: str):
    if body := api_takes("email", value):
        assert form_takes(body), value


def test_ordinary_values_are_taken():
    for field, value in {
        "name": "Ada Lovelace", "street": "1 Engine Street", "zip": "02110", "phone": "+1 617 555 0100",
        "email": "ada.lovelace+shop@mail.example.org", "note": "Ring twice, please", "state": "",
    }.items():  # fmt: skip
        assert api_takes(field, value), field


def test_lists_of_words_are_those_of_the_models():
    reasons = ReturnWanted.model_json_schema()["properties"]["reason"]["enum"]
    assert sorted(reasons) == sorted(ReturnReason.values)
    [statuses] = [
        choice["enum"] for choice in OrderQuery.model_json_schema()["properties"]["status"]["anyOf"] if "enum" in choice
    ]
    assert sorted(statuses) == sorted(Status.values)
    assert set(StatusWanted.model_json_schema()["properties"]["status"]["enum"]) < set(Status.values)
