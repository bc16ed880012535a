from django.apps import AppConfig


class BackgroundConfig(AppConfig):
    name = "pasargad.background"
    verbose_name = "Background work"

    def ready(self) -> None:
        from . import tasks  # noqa: F401  # importing is what registers the periodic ones
