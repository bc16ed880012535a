from django.apps import AppConfig


class PaymentsConfig(AppConfig):
    name = "pasargad.payments"
    verbose_name = "Payments"

    def ready(self) -> None:
        from . import tasks  # noqa: F401  # importing is what registers the periodic ones
