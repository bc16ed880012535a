import sys
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from pasargad.accounts.services import ensure_admin


class Command(BaseCommand):
    help = "Create the administrator ADMIN_EMAIL, or set the password, which is read from standard input"

    def handle(self, **options: Any) -> None:
        password = sys.stdin.readline().rstrip("\r\n")
        if not password:
            raise CommandError("No password on standard input. Write one line, for example: … ensure_admin < file")
        try:
            done = ensure_admin(settings.ADMIN_EMAIL, password)
        except ValidationError as error:
            raise CommandError(f"The password is too weak: {' '.join(error.messages)}") from error
        self.stdout.write(f"{settings.ADMIN_EMAIL}: {done}")
