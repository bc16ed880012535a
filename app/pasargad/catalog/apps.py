from django.apps import AppConfig


class CatalogConfig(AppConfig):
    name = "pasargad.catalog"
    verbose_name = "Catalogue"

    def ready(self) -> None:
        from . import tasks  # noqa: F401  # importing is what registers the periodic ones
