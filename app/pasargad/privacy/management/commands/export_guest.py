from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from pasargad.privacy.exporting import export_of_guest
from pasargad.privacy.register import NoGuest


class Command(BaseCommand):
    help = "Print everything that is kept of somebody who ordered without an account, as JSON"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")

    def handle(self, *, email: str, **options: Any) -> None:
        try:
            pieces = export_of_guest(email)
        except NoGuest as error:
            raise CommandError(str(error)) from error
        for piece in pieces:
            self.stdout.write(piece, ending="")
