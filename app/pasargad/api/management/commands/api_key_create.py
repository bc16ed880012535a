"""Make a key for another program, and print it: the only time that anybody sees it."""

from __future__ import annotations

import getpass
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from pasargad.api.keys import KeyRefused, key_create
from pasargad.api.scopes import Scope


class Command(BaseCommand):
    help = "Make an API key and print it once"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="which program will use it")
        parser.add_argument("--scope", action="append", required=True, choices=Scope.values, help="may be given again")
        parser.add_argument("--days", type=int, help="how long it is good for; without it, until it is revoked")
        parser.add_argument("--per-minute", type=int, default=600, help="requests a minute")

    def handle(self, *, name: str, scope: list[str], days: int | None, per_minute: int, **options: Any) -> None:
        if per_minute < 1 or (days is not None and not 1 <= days <= 3650):
            raise CommandError("--per-minute must be at least 1, --days from 1 to 3650.")
        expires_at = timezone.now() + timedelta(days=days) if days is not None else None
        try:
            _key, text = key_create(
                name=name,
                scopes=scope,
                created_by=f"command of {getpass.getuser()}",
                per_minute=per_minute,
                expires_at=expires_at,
            )
        except KeyRefused as error:
            raise CommandError("; ".join(error.messages)) from error
        self.stdout.write(text)
