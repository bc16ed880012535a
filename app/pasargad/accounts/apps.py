from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "pasargad.accounts"
    verbose_name = "Accounts"
