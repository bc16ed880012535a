from django.apps import AppConfig


class AnalyticsConfig(AppConfig):
    name = "pasargad.analytics"
    verbose_name = "Figures"

    def ready(self) -> None:
        from . import tasks  # noqa: F401  # importing is what registers the periodic ones
