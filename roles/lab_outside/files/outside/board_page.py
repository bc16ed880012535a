"""The HTML of the board."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from html import escape
from typing import Any

from .look import page
from .payments.pages import money

Row = dict[str, Any]

_LINK = re.compile(r"https?://[^\s<>\"')\]]+")


def _moment(seconds: float | None) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S") if seconds else ""


def _state(word: str, *, good: bool, bad: bool) -> str:
    return f'<span class="{"good" if good else "bad" if bad else ""}">{escape(word)}</span>'


def _mail_row(row: Row) -> list[str]:
    subject = f'<a href="/mails/{row["id"]}">{escape(row["subject"] or "(no subject)")}</a>'
    return [_moment(row["received"]), subject, escape(", ".join(row["recipients"]))]


def _payment_row(row: Row) -> list[str]:
    refunded = sum(refund["amount"] for refund in row["refunds"])
    about = row["description"] or ", ".join(f"{key}={value}" for key, value in row["metadata"].items())
    return [
        _moment(row["created"]),
        f"<code>{escape(row['id'])}</code>",
        escape(money(row["amount"], row["currency"])),
        _state(row["status"], good=row["status"] == "succeeded", bad=bool(row["last_payment_error"])),
        escape(money(refunded, row["currency"])) if refunded else "",
        escape(about or ""),
    ]


def _delivery_row(row: Row) -> list[str]:
    answer = str(row["last_status"] or row["last_error"] or "")
    return [
        escape(row["type"]),
        escape(row["url"]),
        _state(row["state"], good=row["state"] == "delivered", bad=row["state"] == "failed" or row["attempts"] > 1),
        str(row["attempts"]),
        escape(answer[:120]),
    ]


def _hook_row(row: Row) -> list[str]:
    body = f"<details><summary>{len(row['body'])} bytes</summary><pre>{escape(row['body'][:4000])}</pre></details>"
    return [_moment(row["received"]), escape(f"{row['method']} {row['path']}"), str(row["status"]), body]


def _bucket_row(row: Row) -> list[str]:
    return [escape(row["name"]), str(row["objects"]), f"{row['bytes']:,}", "yes" if row["versioning"] else "no"]


def _certificate_row(row: Row) -> list[str]:
    good = row["status"] == "Valid"
    return [escape(", ".join(row["names"])), _state(row["status"], good=good, bad=not good), escape(row["not_after"])]


_SECTIONS: list[tuple[str, str, list[str], Callable[[Row], list[str]]]] = [
    ("mails", "Mails", ["received", "subject", "to"], _mail_row),
    ("payments", "Payments", ["created", "intent", "amount", "status", "refunded", "about"], _payment_row),
    ("deliveries", "Payment events sent", ["event", "to", "state", "attempts", "last answer"], _delivery_row),
    ("hooks", "Webhooks received", ["received", "request", "answered", "body"], _hook_row),
    ("buckets", "S3 buckets", ["name", "objects", "bytes", "versioning"], _bucket_row),
    ("certificates", "Certificates issued by ACME", ["names", "status", "valid until"], _certificate_row),
]


def index(found: dict[str, Any]) -> str:
    """Return the page with all sections; a section whose service failed shows why."""
    sections = "".join(_section(found[name], *rest, name=name) for name, *rest in _SECTIONS)  # type: ignore[arg-type]
    return page(
        "Outside the store",
        '<main class="board"><h1>Outside the store</h1><p class="soft">What the lab\'s mail server, payment provider, '
        "webhook sink, S3 and ACME server received. The newest stand first; times are UTC.</p>"
        f"{sections}</main>",
    )


def _section(rows: Any, title: str, columns: list[str], cells: Callable[[Row], list[str]], *, name: str) -> str:
    head = f'<section id="{name}"><h2>{title}</h2>'
    foot = f'<p class="soft"><a href="/api/{name}">as JSON</a></p></section>'
    if isinstance(rows, str):
        return f'{head}<p class="bad">The service does not answer: {escape(rows)}</p>{foot}'
    if not rows:
        return f'{head}<p class="soft">Nothing yet.</p>{foot}'
    header = "".join(f"<th>{column}</th>" for column in columns)
    lines = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells(row)) + "</tr>" for row in rows)
    return f"{head}<table><tr>{header}</tr>{lines}</table>{foot}"


def mail(row: Row) -> str:
    """Return one mail: what matters of its head, its text with working links, and the way to its HTML."""
    members = {"From": row["from"], "To": row["to"], "Subject": row["subject"], "Received": _moment(row["received"])}
    if row["attachments"]:
        members["Attachments"] = ", ".join(row["attachments"])
    head = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in members.items())
    as_html = f'<p><a href="/mails/{row["id"]}/html">Show it as HTML</a></p>' if row["html"] else ""
    return page(
        row["subject"] or "Mail",
        f'<main class="board"><p><a href="/">Outside the store</a></p><section><dl>{head}</dl>{as_html}'
        f"<pre>{_linked(row['text'])}</pre></section></main>",
    )


def _linked(text: str) -> str:
    pieces, end = [], 0
    for found in _LINK.finditer(text):
        url = found[0].rstrip(".,;:!?")
        pieces += [escape(text[end : found.start()]), f'<a href="{escape(url)}">{escape(url)}</a>']
        end = found.start() + len(url)
    return "".join(pieces) + escape(text[end:])
