from typing import Any

from django.core.management.base import BaseCommand

from pasargad.payments.services import orders_expire


class Command(BaseCommand):
    help = "Give up orders that were not paid in time and free the goods they hold (workers do this periodically)"

    def handle(self, **options: Any) -> None:
        self.stdout.write(f"{orders_expire()} orders expired")
