from django.apps import AppConfig


class PrivacyConfig(AppConfig):
    name = "pasargad.privacy"
    verbose_name = "Personal data"

    def ready(self) -> None:
        from . import tasks  # noqa: F401  # importing is what registers the periodic ones
