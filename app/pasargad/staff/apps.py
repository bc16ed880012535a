from django.apps import AppConfig


class StaffConfig(AppConfig):
    name = "pasargad.staff"
    verbose_name = "Staff"
