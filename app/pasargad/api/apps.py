from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "pasargad.api"
    verbose_name = "Other programs"

    def ready(self) -> None:
        from . import tasks  # noqa: F401  # importing is what registers them
