from django.apps import AppConfig


class OrdersConfig(AppConfig):
    name = "pasargad.orders"
    verbose_name = "Orders"
