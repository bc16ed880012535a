from django.apps import AppConfig


class CartConfig(AppConfig):
    name = "pasargad.cart"
    verbose_name = "Carts"
