from django.apps import AppConfig


class RecommendationsConfig(AppConfig):
    name = "pasargad.recommendations"
    verbose_name = "Recommendations"

    def ready(self) -> None:
        from . import tasks  # noqa: F401  # importing is what registers the periodic ones
