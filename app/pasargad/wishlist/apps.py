from django.apps import AppConfig


class WishlistConfig(AppConfig):
    name = "pasargad.wishlist"
    verbose_name = "Wishlists"

    def ready(self) -> None:
        from . import tasks  # noqa: F401  # importing is what registers the periodic ones
