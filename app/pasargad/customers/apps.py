from django.apps import AppConfig


class CustomersConfig(AppConfig):
    name = "pasargad.customers"
    verbose_name = "Customers"

    def ready(self) -> None:
        from allauth.core.internal import ratelimit
        from allauth.mfa.totp.internal import auth

        from . import mails, receivers  # noqa: F401  # importing is what connects and registers them
        from .counting import LimitsCache

        # The library has no setting for it; the second one remembers which codes were used.
        ratelimit.cache = LimitsCache()
        auth.cache = LimitsCache()
