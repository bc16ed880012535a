from django.apps import AppConfig


class ShippingConfig(AppConfig):
    name = "pasargad.shipping"
    verbose_name = "Shipping"
