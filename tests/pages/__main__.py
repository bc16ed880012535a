"""Proves the shop's pages: `python -m tests.pages [--only NAME ...] [--goods N]`; the last line is JSON.

Serves the shop as a host does, and holds every page against axe, the Nu HTML checker, a crawler, the rules of
structured data, Lighthouse and a keyboard, and the API against its document. Pictures of all pages and all findings are
left in test-results/pages/.
Ends with 1 if there is any finding.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import accessibility, errors, keyboard, links, markup, performance, structured
from .browsing import browser, fill_cart, persistent
from .client import Client
from .findings import Finding
from .inventory import Sheet, misplaced, sheets
from .room import Room, room
from .tools import ROOT, ToolMissing, Tools, install

RESULTS = ROOT / "test-results" / "pages"
JUDGED = ("home", "list", "product", "cart", "checkout")
WANTED = {"home": {"WebSite", "OnlineStore"}, "product": {"Product", "BreadcrumbList"}, "category": {"BreadcrumbList"}}


class Proof:
    """One run over one room: each method is a checker, and leaves its figure in `figures`."""

    def __init__(self, opened: Room, tools: Tools) -> None:
        self.room, self.tools = opened, tools
        self.sheets = sheets(opened)
        self.figures: dict[str, Any] = {"pages": len(self.sheets)}
        self.findings: list[Finding] = []
        with browser(opened) as started:
            context = started.new_context()
            self.cookies = fill_cart(context, opened)
            context.close()
        plain, filled = Client(opened), Client(opened, self.cookies)
        self.answers = {sheet: (filled if sheet.filled else plain).get(sheet.path) for sheet in self.sheets}
        self.texts = {sheet.name: answer.text for sheet, answer in self.answers.items()}

    def keep(self, name: str, found: list[Finding]) -> None:
        self.figures[name] = len(found)
        self.findings += found

    def statuses(self) -> None:
        """Every page answers as it should, and says to search engines whether it is for them."""
        self.keep(
            "statuses", [finding for sheet, answer in self.answers.items() for finding in misplaced(sheet, answer)]
        )

    def axe(self) -> None:
        """Accessibility and pictures of every page, of mails and of error pages."""
        shutil.rmtree(RESULTS / "screenshots", ignore_errors=True)
        found: list[Finding] = []
        with browser(self.room) as started:
            for width in accessibility.WIDTHS:
                context = started.new_context(viewport={"width": width, "height": 812}, service_workers="block")
                empty = started.new_context(viewport={"width": width, "height": 812}, service_workers="block")
                fill_cart(context, self.room)
                for sheet in self.sheets:
                    page = (context if sheet.filled else empty).new_page()
                    page.goto(self.room.url + sheet.path)
                    found += self._look(page, sheet.name, width)
                    page.close()
                for kind in self.room.stock["mails"]:
                    page = empty.new_page()
                    page.goto((self.room.directory / "mails" / f"{kind}.html").as_uri())
                    found += self._look(page, f"mail-{kind}", width, accessibility.PAGES_ONLY)
                    page.close()
                for name, page in errors.shown(empty, self.room):
                    found += self._look(page, name, width)
                    page.close()
        self.keep("axe", found)
        self.figures["screenshots"] = len(list((RESULTS / "screenshots").glob("*.png")))

    def _look(self, page: Any, name: str, width: int, without: Sequence[str] = ()) -> list[Finding]:
        found = list(accessibility.in_both_schemes(page, f"{name} at {width} px", self.tools.axe, without))
        if width == accessibility.WIDTHS[0]:
            for scheme in accessibility.SCHEMES:
                page.emulate_media(color_scheme=scheme)
                # Pictures further down are fetched when somebody comes near them.
                page.evaluate("document.querySelectorAll('img').forEach((img) => { img.loading = 'eager'; })")
                page.wait_for_load_state("networkidle")
                path = RESULTS / "screenshots" / f"{name}-{scheme}.png"
                page.screenshot(path=path, full_page=True)
        return found

    def html(self) -> None:
        pages = {**self.texts, **errors.texts(self.room)}
        directory = Path(tempfile.mkdtemp(prefix="pasargad-html-"))
        try:
            self.keep("html_errors", list(markup.errors(pages, directory, self.tools.vnu)))
        finally:
            shutil.rmtree(directory)

    def links(self) -> None:
        seeds = [sheet.path for sheet in self.sheets if not sheet.filled and sheet.status == 200]
        extra = ["/robots.txt", "/sitemap.xml", "/manifest.webmanifest", "/sw.js", "/.well-known/security.txt"]
        filled = Client(self.room, self.cookies)
        self.keep(
            "broken_links", list(links.broken(filled.get, self.room.url, [*seeds, *extra, "/cart/", "/checkout/"]))
        )

    def structured(self) -> None:
        found: list[Finding] = []
        for name, text in self.texts.items():
            found += structured.errors(name, text, WANTED.get(name.partition("-")[0], set()))
        self.keep("structured_data_errors", found)

    def lighthouse(self) -> None:
        directory = RESULTS / "lighthouse"
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        from testing.provider import free_port

        port, least, found = free_port(), 100, []
        with persistent(self.room, self.room.directory / "profile", port) as context:
            fill_cart(context, self.room)
            by_name = {sheet.name: sheet for sheet in self.sheets}
            for name in JUDGED:
                sheet: Sheet = by_name[name]
                score = performance.judge(
                    name, self.room.url + sheet.path, port=port, lighthouse=self.tools.lighthouse,
                    directory=directory, hidden=sheet.hidden,
                )  # fmt: skip
                self.figures.setdefault("lighthouse", {})[name] = score.points
                least = min(least, *score.points.values())
                found += list(score.findings())
        self.figures["lighthouse_min"] = least
        self.findings += found

    def keyboard(self) -> None:
        with browser(self.room) as started:
            context = started.new_context(viewport={"width": 1280, "height": 900})
            try:
                heading, found = keyboard.purchase(context, self.room)
            except keyboard.Lost as error:
                heading, found = "", [Finding("purchase", "keyboard", str(error))]
            if heading != "Thank you!":
                found.append(Finding("purchase", "keyboard", f"it ended with {heading!r}"))
        self.figures["keyboard_purchase"] = "ok" if not found else "failed"
        self.findings += found

    def api(self) -> None:
        """The API keeps to its own document; with servers of its own, not the room's."""
        ran = subprocess.run(
            [sys.executable, "-m", "tests.api_contract"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        told = json.loads(ran.stdout.splitlines()[-1]) if ran.stdout.strip() else {}
        self.figures["schemathesis_failures"] = told.get("schemathesis_failures", -1)
        if ran.returncode or told.get("schemathesis_failures") != 0:
            self.findings.append(Finding("api", "schemathesis", (ran.stderr or ran.stdout)[-2000:]))


CHECKS: dict[str, Callable[[Proof], None]] = {
    "statuses": Proof.statuses,
    "html": Proof.html,
    "structured": Proof.structured,
    "links": Proof.links,
    "keyboard": Proof.keyboard,
    "lighthouse": Proof.lighthouse,
    "axe": Proof.axe,
    "api": Proof.api,
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tests.pages", description="Prove the shop's pages.")
    parser.add_argument("--only", nargs="+", choices=sorted(CHECKS), default=list(CHECKS), metavar="NAME")
    parser.add_argument("--goods", type=int, default=0, help="show so many of the demonstration's goods; 0: all")
    options = parser.parse_args(arguments)
    begun = time.monotonic()
    RESULTS.mkdir(parents=True, exist_ok=True)
    try:
        tools = install()
    except ToolMissing as error:
        print(f"tests.pages: {error}", file=sys.stderr)
        return 2
    with room(goods=options.goods) as opened:
        proof = Proof(opened, tools)
        for name in options.only:
            started = time.monotonic()
            CHECKS[name](proof)
            print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    report = "".join(f"{finding}\n" for finding in proof.findings)
    (RESULTS / "findings.txt").write_text(report, encoding="utf-8")
    print(report, end="")
    told = {**proof.figures, "findings": len(proof.findings), "seconds": round(time.monotonic() - begun)}
    (ROOT / "test-results" / "pages.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(told))
    return 1 if proof.findings else 0


if __name__ == "__main__":
    raise SystemExit(main())
