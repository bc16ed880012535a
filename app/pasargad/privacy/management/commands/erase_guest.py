import getpass
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from pasargad.audit.acting import Actor
from pasargad.privacy.erasing import ErasureRefused, guest_erase
from pasargad.privacy.register import NoGuest


class Command(BaseCommand):
    help = "Erase somebody who ordered without an account, once it is sure that the mail address is theirs"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")

    def handle(self, *, email: str, **options: Any) -> None:
        try:
            erased = guest_erase(email, actor=Actor(None, f"command of {getpass.getuser()}"))
        except (NoGuest, ErasureRefused) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{erased} orders are anonymous now, and no mail to this address is known any more.")
