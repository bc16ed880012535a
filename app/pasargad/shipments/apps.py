from django.apps import AppConfig


class ShipmentsConfig(AppConfig):
    name = "pasargad.shipments"
    verbose_name = "Parcels"

    def ready(self) -> None:
        from . import tasks  # noqa: F401  # importing is what registers the periodic ones
