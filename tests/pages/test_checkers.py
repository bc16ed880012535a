"""Each checker is shown pages that are broken on purpose, and must see it; of a sound page it must say nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Browser, Page

from . import accessibility, keyboard, links, markup, performance, structured
from .client import Answer
from .findings import Finding
from .inventory import Sheet, misplaced
from .tools import CHROMIUM, Tools

ORIGIN = "https://shop.pasargad.test"
SOUND = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Sound</title>
<meta name="viewport" content="width=device-width, initial-scale=1"></head>
<body><main><h1>Sound</h1><p>A page.</p><label for="a">A</label><input id="a"></main></body></html>"""


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 375, "height": 812})
    yield context.new_page()
    context.close()


def rules(found: list[Finding]) -> set[str]:
    return {finding.rule for finding in found}


BROKEN = [
    ("<p>A page.</p>", '<p><img src="/x.png"></p>', "axe image-alt"),
    ('<label for="a">A</label>', "", "axe label"),
    (
        "<p>A page.</p>",
        "<p class=faint>A page.</p><style>.faint{color:#999;background:#fff}</style>",
        "axe color-contrast",
    ),
    ('<html lang="en">', "<html>", "axe html-has-lang"),
    ("<p>A page.</p>", "<div style='inline-size:700px'>wide</div>", "width"),
]


@pytest.mark.parametrize(("sound", "broken", "rule"), BROKEN, ids=[rule for *_, rule in BROKEN])
def test_axe_and_the_width_find(page: Page, tools: Tools, sound: str, broken: str, rule: str) -> None:
    page.set_content(SOUND)
    assert list(accessibility.in_both_schemes(page, "sound", tools.axe)) == []
    page.set_content(SOUND.replace(sound, broken))
    assert rule in rules(list(accessibility.in_both_schemes(page, "broken", tools.axe)))


def test_a_fault_of_dark_mode_alone_is_found(page: Page, tools: Tools) -> None:
    dark = "body { background: #111 } p { color: #222 } h1, label { color: #eee }"
    style = f"<style>@media (prefers-color-scheme: dark) {{ {dark} }}</style>"
    page.set_content(SOUND.replace("</head>", f"{style}</head>"))
    found = [
        finding for finding in accessibility.in_both_schemes(page, "page", tools.axe) if "contrast" in finding.rule
    ]
    assert {finding.page for finding in found} == {"page (dark)"}


def test_the_html_checker_finds_what_browsers_forgive(tools: Tools, tmp_path: Path) -> None:
    broken = {
        "nesting": SOUND.replace("<p>A page.</p>", "<p><div>A page.</div></p>"),
        "twice": SOUND.replace("<p>", '<p id="a">'),
        "attribute": SOUND.replace("<p>", '<p align="center">'),
    }
    assert list(markup.errors({"sound": SOUND}, tmp_path / "sound", tools.vnu)) == []
    found = list(markup.errors({"sound": SOUND, **broken}, tmp_path / "all", tools.vnu))
    assert {finding.page for finding in found} == set(broken)


def site(pages: dict[str, str]) -> Callable[[str], Answer]:
    def get(url: str) -> Answer:
        text = pages.get(url.removeprefix(ORIGIN))
        status = 404 if text is None else 200
        return Answer(url, status, {"content-type": "text/html"}, (text or "").encode())

    return get


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        ('<a href="/gone/">x</a>', "link"),
        ('<img src="/static/gone.png" alt="">', "link"),
        ('<img srcset="/other/ 1x, /gone.png 2x" alt="">', "link"),
        ('<form action="/gone/"></form>', "link"),
        ('<a href="/other/#nowhere">x</a>', "fragment"),
        ('<a href="#nowhere">x</a>', "fragment"),
        ('<i id="one"></i><i id="one"></i>', "id"),
    ],
)
def test_the_crawler_finds(broken: str, rule: str) -> None:
    pages = {
        "/": '<a href="/other/#place">x</a><a href="https://elsewhere.example/">y</a>',
        "/other/": '<i id="place"></i>',
    }
    assert list(links.broken(site(pages), ORIGIN, ["/"])) == []
    found = list(links.broken(site({**pages, "/": pages["/"] + broken}), ORIGIN, ["/"]))
    assert rules(found) == {rule}


OFFER = {
    "@type": "Offer", "price": "12.50", "priceCurrency": "USD", "availability": "https://schema.org/InStock",
    "itemCondition": "https://schema.org/NewCondition", "url": f"{ORIGIN}/p/x/", "sku": "X", "seller": {"@id": "x"},
}  # fmt: skip
PRODUCT = {
    "@type": "Product", "name": "X", "image": [f"{ORIGIN}/x.jpg"], "description": "X", "sku": "X", "material": "PLA",
    "url": f"{ORIGIN}/p/x/", "brand": {"@type": "Brand", "name": "X"}, "offers": [OFFER],
}  # fmt: skip
CRUMBS = {
    "@type": "BreadcrumbList",
    "itemListElement": [
        {"@type": "ListItem", "position": number, "name": "X", "item": f"{ORIGIN}/{number}"} for number in (1, 2)
    ],
}


def script(*graph: object) -> str:
    told = json.dumps({"@context": "https://schema.org", "@graph": graph})
    return f'<script type="application/ld+json">{told}</script>'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (script(PRODUCT).replace("}", "", 1), "cannot be parsed"),
        (script(PRODUCT), "has no BreadcrumbList"),
        (script({**PRODUCT, "offers": [{**OFFER, "price": ""}]}, CRUMBS), "Offer lacks price (required)"),
        (script({**PRODUCT, "offers": [{**OFFER, "price": "$12"}]}, CRUMBS), "wrong price"),
        (script({**PRODUCT, "offers": [{**OFFER, "priceCurrency": "usd"}]}, CRUMBS), "wrong priceCurrency"),
        (script({**PRODUCT, "offers": [{**OFFER, "availability": "plenty"}]}, CRUMBS), "wrong availability"),
        (script({**PRODUCT, "image": ["/x.jpg"]}, CRUMBS), "wrong image"),
        (script({**PRODUCT, "image": []}, CRUMBS), "lacks image (required)"),
        (script({key: value for key, value in PRODUCT.items() if key != "brand"}, CRUMBS), "brand (recommended)"),
        (script(PRODUCT, {**CRUMBS, "itemListElement": CRUMBS["itemListElement"][1:]}), "BreadcrumbList counts [2]"),
        (script(PRODUCT, CRUMBS, {"@type": "Prodcut"}), "nobody wrote rules for"),
        (script(PRODUCT, CRUMBS).replace("https://schema.org", "http://example.org", 1), "its context"),
    ],
)
def test_the_rules_of_structured_data_find(text: str, words: str) -> None:
    wanted = {"Product", "BreadcrumbList"}
    assert list(structured.errors("sound", script(PRODUCT, CRUMBS), wanted)) == []
    assert any(words in finding.detail for finding in structured.errors("broken", text, wanted))


def test_a_wrong_status_or_a_wrong_word_to_search_engines_is_found() -> None:
    hidden = SOUND.replace("</head>", '<meta name="robots" content="noindex"></head>')

    def of(name: str, text: str, status: int = 200) -> set[str]:
        return rules(list(misplaced(Sheet(name, "/"), Answer(f"{ORIGIN}/", status, {}, text.encode()))))

    assert of("home", SOUND) == set() and of("cart", hidden) == set()
    assert of("home", hidden) == {"robots"} and of("cart", SOUND) == {"robots"}
    assert of("home", SOUND, 500) == {"status"}


def test_a_focus_that_cannot_be_seen_or_reached_is_found(page: Page) -> None:
    # The browser's own ring, one pixel wide, is not what the shop promises.
    page.set_content(SOUND.replace("</head>", "<style>:focus { outline: 2px solid }</style></head>"))
    sound = keyboard.Keys(page)
    sound.tab_to("#a")
    assert sound.findings == []
    page.set_content(SOUND.replace("</head>", "<style>:focus { outline: none }</style></head>"))
    blind = keyboard.Keys(page)
    blind.tab_to("#a")
    assert rules(blind.findings) == {"focus"}
    page.set_content(SOUND.replace('<input id="a">', '<input id="a" tabindex="-1">'))
    with pytest.raises(keyboard.Lost):
        keyboard.Keys(page).tab_to("#a")


@pytest.mark.slow
def test_lighthouse_blames_a_bad_page(tools: Tools, tmp_path: Path) -> None:
    """The browser is started by Lighthouse's own library, so that no other one of this process is disturbed."""
    bad = "<html><head></head><body><img src='x.png'><a href='#'>x</a>" + "<p>slow</p>" * 10
    script_ = "<script>const end = performance.now() + 4000; while (performance.now() < end);</script>"

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/" else 404)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write((bad + script_).encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/"
        score = performance.run_once(
            "bad", url, ["--chrome-flags=--headless=new --no-sandbox"], tools.lighthouse, tmp_path
        )
    finally:
        server.shutdown()
        server.server_close()
    blamed = rules(list(score.findings()))
    assert {"lighthouse accessibility", "lighthouse seo", "lighthouse performance"} <= blamed
    assert CHROMIUM.exists()
