from typing import Any

from django.core.management.base import BaseCommand

from pasargad.payments.refunds import refunds_resend
from pasargad.payments.services import payments_reconcile


class Command(BaseCommand):
    help = "Ask the payment provider about every unsettled payment and send open refunds (workers do this periodically)"

    def handle(self, **options: Any) -> None:
        self.stdout.write(f"{payments_reconcile(quiet_seconds=0)} payments, {refunds_resend(quiet_seconds=0)} refunds")
