"""The frame and the style that all pages of the lab's outside world share: no script, nothing loaded from elsewhere."""

from __future__ import annotations

from html import escape
from pathlib import Path

_STYLE = Path(__file__).with_name("style.css").read_text(encoding="utf-8")


def page(title: str, body: str) -> str:
    """Return a whole page; `body` is HTML."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
        f"<style>{_STYLE}</style></head><body>{body}</body></html>\n"
    )
