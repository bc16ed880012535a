from django.apps import AppConfig


class CatalogConfig(AppConfig):
    name = "pasargad.catalog"
    verbose_name = "Catalogue"
