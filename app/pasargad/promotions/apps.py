from django.apps import AppConfig


class PromotionsConfig(AppConfig):
    name = "pasargad.promotions"
    verbose_name = "Promotions"
