from django.apps import AppConfig


class RemindersConfig(AppConfig):
    name = "pasargad.reminders"
    verbose_name = "Reminders"

    def ready(self) -> None:
        from . import mails, tasks  # noqa: F401  # importing is what registers them
