from django.apps import AppConfig


class HealthConfig(AppConfig):
    name = "pasargad.health"
    verbose_name = "Health"
