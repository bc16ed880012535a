"""The document and the shop say the same, by a tool that believes neither."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from testing import contract
from testing.api import order_body, with_cart, with_key
from testing.factories import make_coupon, make_variant

from pasargad.api.operations import operations
from pasargad.api.scopes import Scope
from pasargad.books.oracles import check


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_schemathesis_finds_nothing(live_server, outside, settings, tmp_path: Path):
    settings.SITE_URL = live_server.url
    variant = make_variant(stock=50)
    make_coupon("SAVE10")
    cart = with_cart((variant.sku, 1))
    order = with_cart((variant.sku, 1)).post("/checkout", order_body()).json()
    values = {
        "slug": variant.product.slug,
        "sku": variant.sku,
        "token": order["token"],
        "number": order["number"],
    }
    values |= cart.headers
    everything = with_key(*Scope).headers
    found = contract.Report()
    # Who holds everything gets through to every answer; who holds nothing must be refused as the document says.
    runs = (("inside", everything, values, 4, contract.EVERYTHING), ("outside", {}, {}, 4, contract.AT_RANDOM))
    for name, headers, known, examples, phases in runs:
        folder = tmp_path / name
        folder.mkdir()
        found += contract.run(live_server.url, folder, headers=headers, values=known, examples=examples, phases=phases)
    line = json.dumps(found.as_json())
    if path := os.environ.get("PASARGAD_CONTRACT_REPORT"):
        Path(path).write_text(line + "\n", encoding="utf-8")
    output = "\n".join((tmp_path / name / "output.txt").read_text() for name in ("inside", "outside"))
    assert found.failures == [], output
    assert found.operations == len(operations())
    assert found.requests > 20 * found.operations
    assert check() == [], "whatever was sent, the books are right"
