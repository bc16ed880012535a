from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    name = "pasargad.notifications"
    verbose_name = "Notifications"

    def ready(self) -> None:
        from . import receivers, tasks  # noqa: F401  # importing is what connects and registers them
