"""Ask every invariant of the shop; nightly in production, and whenever somebody doubts."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from pasargad.books.oracles import ORACLES, Finding, check, check_provider, names
from pasargad.payments.exceptions import PaymentError

WRONG, UNKNOWN = 1, 2


class Command(BaseCommand):
    help = "Check stock, orders and money; exit 1 if something is wrong, 2 if the payment provider does not answer"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--only", nargs="+", choices=names(), metavar="ORACLE", default=[], help=", ".join(names()))
        parser.add_argument("--no-provider", action="store_true", help="do not compare with the provider's lists")
        parser.add_argument("--days", type=int, default=30, help="how far back the provider's lists are compared")
        parser.add_argument(
            "--settled-seconds", type=int, default=600, help="leave out what is younger at the provider (%(default)s)"
        )
        parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")

    def handle(
        self,
        *,
        only: list[str],
        no_provider: bool,
        days: int,
        settled_seconds: int,
        json: bool,
        verbosity: int,
        **options: Any,
    ) -> None:
        findings, unreachable = check(only), ""
        if not (no_provider or only):
            try:
                until = timezone.now() - timedelta(seconds=settled_seconds)
                findings += check_provider(until - timedelta(days=days), until)
            except PaymentError as error:
                unreachable = str(error)
        if json:
            self.stdout.write(_as_json(findings, unreachable))
        else:
            self._lines(only or names(), findings, unreachable, verbosity)
        if code := WRONG if findings else UNKNOWN if unreachable else 0:
            raise SystemExit(code)

    def _lines(self, asked: list[str], findings: list[Finding], unreachable: str, verbosity: int) -> None:
        wrong = {finding.oracle for finding in findings}
        if verbosity > 1:
            for name in asked:
                state = "WRONG" if name in wrong else "ok"
                self.stdout.write(f"{state:5} {ORACLES[name].invariant:6} {name}: {ORACLES[name].text}")
        for finding in findings:
            self.stdout.write(f"WRONG {finding}")
        if unreachable:
            self.stdout.write("UNKNOWN the payment provider does not answer: its lists were not compared")
        self.stdout.write(f"{len(asked)} questions asked, {len(findings)} findings")


def _as_json(findings: list[Finding], unreachable: str) -> str:
    rows = [vars(finding) for finding in findings]
    return json.dumps({"findings": rows, "provider_reached": not unreachable, "ok": not findings})
