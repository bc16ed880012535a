from django.urls import path

from .views import shippo_webhook

urlpatterns = [path("shippo/", shippo_webhook, name="shippo_webhook")]
