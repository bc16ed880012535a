"""axe-core in a browser: every rule that it knows, in light and dark mode, on a phone and on a desk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Page

from .findings import Finding

WIDTHS = (375, 1280)
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
# A mail is shown inside the page of whoever reads it, which has its landmarks.
PAGES_ONLY = ("landmark-one-main", "region")
RUN = """async (without) => {
  const found = await axe.run(document, {
    resultTypes: ["violations"],
    runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    rules: Object.fromEntries(without.map((rule) => [rule, { enabled: false }])),
  });
  return found.violations.map((rule) => ({
    id: rule.id,
    help: rule.help,
    nodes: rule.nodes.map((node) => ({ html: node.html.slice(0, 160), why: node.failureSummary })),
  }));
}"""


def violations(page: Page, name: str, axe: Path, without: Sequence[str] = ()) -> Iterator[Finding]:
    """Run axe on what a page shows now. The script is injected past the content policy, by the browser's debugger."""
    if not page.evaluate("typeof axe !== 'undefined'"):
        page.evaluate(axe.read_text(encoding="utf-8"))
    told: list[dict[str, Any]] = page.evaluate(RUN, list(without))
    for rule in told:
        for node in rule["nodes"]:
            why = " ".join(str(node["why"]).split())[:200]
            yield Finding(name, f"axe {rule['id']}", f"{rule['help']}: {node['html']} ({why})")


def in_both_schemes(page: Page, name: str, axe: Path, without: Sequence[str] = ()) -> Iterator[Finding]:
    """Run axe in light and in dark mode, without loading the page again."""
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        yield from violations(page, f"{name} ({scheme})", axe, without)
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if wide > 0:
        yield Finding(name, "width", f"{wide} px wider than the screen")
