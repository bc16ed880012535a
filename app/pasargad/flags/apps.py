from django.apps import AppConfig


class FlagsConfig(AppConfig):
    name = "pasargad.flags"
    verbose_name = "Feature flags"
