from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    name = "pasargad.webhooks"
    verbose_name = "Webhooks"

    def ready(self) -> None:
        from . import receivers, tasks  # noqa: F401  # importing is what connects and registers them
