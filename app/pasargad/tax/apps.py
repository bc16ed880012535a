from django.apps import AppConfig


class TaxConfig(AppConfig):
    name = "pasargad.tax"
    verbose_name = "Tax"
