"""A sample of `make test-pages` for every run: five pages, axe, the HTML checker and the rules of structured data."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from . import accessibility, markup, structured
from .client import Client
from .findings import Finding
from .inventory import Sheet, misplaced, sheets
from .room import Room
from .tools import Tools

SAMPLE = ("home", "category", "product", "order-shipped", "product-persian")
GOODS = {"Product", "BreadcrumbList"}
WANTED = {
    "home": {"WebSite", "OnlineStore"}, "product": GOODS, "product-persian": GOODS, "category": {"BreadcrumbList"},
}  # fmt: skip


@pytest.fixture(scope="module")
def sample(shop: Room) -> list[Sheet]:
    found = [sheet for sheet in sheets(shop) if sheet.name in SAMPLE]
    assert len(found) == len(SAMPLE)
    return found


def test_pages_of_the_sample_keep_to_html_and_to_the_rules_of_search_engines(
    shop: Room, tools: Tools, sample: list[Sheet], tmp_path: Path
) -> None:
    client = Client(shop)
    answers = {sheet: client.get(sheet.path) for sheet in sample}
    texts = {sheet.name: answer.text for sheet, answer in answers.items()}
    found = [finding for sheet, answer in answers.items() for finding in misplaced(sheet, answer)]
    found += markup.errors(texts, tmp_path, tools.vnu)
    found += [
        finding for name, text in texts.items() for finding in structured.errors(name, text, WANTED.get(name, set()))
    ]
    assert found == []


@pytest.mark.parametrize("width", accessibility.WIDTHS)
def test_pages_of_the_sample_are_accessible(
    shop: Room, tools: Tools, chromium: Browser, sample: list[Sheet], width: int
) -> None:
    context = chromium.new_context(viewport={"width": width, "height": 812}, service_workers="block")
    page = context.new_page()
    found: list[Finding] = []
    for sheet in sample:
        page.goto(shop.url + sheet.path)
        found += accessibility.in_both_schemes(page, sheet.name, tools.axe)
    context.close()
    assert found == []
