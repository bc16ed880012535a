from django.apps import AppConfig


class OrdersConfig(AppConfig):
    name = "pasargad.orders"
    verbose_name = "Orders"

    def ready(self) -> None:
        from . import tasks  # noqa: F401  # importing is what registers the periodic ones
