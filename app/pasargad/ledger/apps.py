from django.apps import AppConfig


class LedgerConfig(AppConfig):
    name = "pasargad.ledger"
    verbose_name = "Ledger"
