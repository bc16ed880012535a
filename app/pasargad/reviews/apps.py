from django.apps import AppConfig


class ReviewsConfig(AppConfig):
    name = "pasargad.reviews"
    verbose_name = "Reviews"
