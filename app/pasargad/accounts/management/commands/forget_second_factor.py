from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from pasargad.accounts.models import User
from pasargad.accounts.services import second_factor_forget


class Command(BaseCommand):
    help = "Delete the second factors of somebody who has lost them; the next sign-in leads to enrolment"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")

    def handle(self, *, email: str, **options: Any) -> None:
        try:
            deleted = second_factor_forget(email)
        except User.DoesNotExist as error:
            raise CommandError(f"There is no account {email}.") from error
        self.stdout.write(f"{email}: {deleted} deleted")
