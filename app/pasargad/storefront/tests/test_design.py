"""What the content security policy and slow phones ask of templates and style."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders
from django.template.loader import get_template

TEMPLATES = Path(__file__).parents[1] / "templates"
STATIC = Path(settings.BASE_DIR) / "static"
PAGES = sorted(path.relative_to(TEMPLATES).as_posix() for path in TEMPLATES.rglob("*.html"))


def source(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_page_needs_no_inline_style_or_script(name: str):
    text = source(name)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text)
    for tag in re.findall(r"<script[^>]*>", text):
        assert "src=" in tag or 'type="application/ld+json"' in tag


@pytest.mark.parametrize("name", PAGES)
def test_page_uses_nothing_that_would_make_it_private(name: str):
    assert not re.search(r"csrf_token|\{\{\s*(user|request|messages)\b", source(name))


@pytest.mark.parametrize("name", PAGES)
def test_page_compiles_and_its_static_files_exist(name: str):
    get_template(name)
    for found in re.findall(r"{% static '([^']+)' %}", source(name)):
        assert finders.find(found), found


@pytest.mark.parametrize("name", ["400.html", "429.html", "500.html", "503.html"])
def test_emergency_page_needs_no_context(name: str):
    text = get_template(name).render()
    assert "<h1>" in text and "Pasargad Prints" in text


def test_style_stays_small_and_knows_no_left_and_right():
    text = (STATIC / "css" / "shop.css").read_text(encoding="utf-8")
    assert len(text.encode()) < 30_000
    assert not re.search(
        r"(margin|padding|border|inset)-(left|right)|(?<![-\w])(left|right):|text-align: (left|right)", text
    )
