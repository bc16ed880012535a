from django.apps import AppConfig


class ShipmentsConfig(AppConfig):
    name = "pasargad.shipments"
    verbose_name = "Parcels"

    def ready(self) -> None:
        from pasargad.orders.parcels import parcels_told_by

        from . import receivers, tasks  # noqa: F401  # importing is what connects and registers them
        from .selectors import pieces_in_parcels_sent

        parcels_told_by(pieces_in_parcels_sent)
