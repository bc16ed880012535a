from django.apps import AppConfig


class StorefrontConfig(AppConfig):
    name = "pasargad.storefront"
    verbose_name = "Storefront"
