from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "pasargad.audit"
    verbose_name = "Audit log"

    def ready(self) -> None:
        from . import capture, tasks

        capture.connect()
        assert tasks  # noqa: S101  # importing is what registers the periodic ones
