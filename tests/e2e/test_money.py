"""A few of the races of `make test-checkout`, on the shop that is deployed here."""

from __future__ import annotations

import pytest

from tests.checkout import network, races
from tests.checkout.lab import MoneyLab
from tests.shop import Shop
from tests.web import Web

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def lab(shop: Shop, web: Web) -> MoneyLab:
    return MoneyLab(shop, web, print)


def test_the_last_pieces_are_sold_once(lab: MoneyLab) -> None:
    assert races.last_pieces(lab, 3, shoppers=20) == []


def test_many_clicks_pay_once(lab: MoneyLab) -> None:
    assert races.double_pay(lab, clicks=6) == []


def test_doubled_messages_change_nothing_and_the_books_agree(lab: MoneyLab) -> None:
    assert network.under_webhook_faults(lab, network.WEBHOOK_PLANS["doubled messages"], seconds=10) == []
    assert lab.settle().wrong == []
