from django.apps import AppConfig


class BooksConfig(AppConfig):
    name = "pasargad.books"
    verbose_name = "Books"

    def ready(self) -> None:
        from . import tasks  # noqa: F401  # importing is what registers the periodic one
