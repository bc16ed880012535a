from typing import Any

from django.core.management.base import BaseCommand

from pasargad.payments.refunds import refunds_resend
from pasargad.payments.services import events_pull, payments_reconcile


class Command(BaseCommand):
    help = "Read the provider's events, ask about unsettled payments, send open refunds (workers do this periodically)"

    def handle(self, **options: Any) -> None:
        events = events_pull()
        payments, refunds = payments_reconcile(quiet_seconds=0), refunds_resend(quiet_seconds=0)
        self.stdout.write(f"{events} events, {payments} payments, {refunds} refunds")
