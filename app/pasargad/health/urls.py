from django.urls import path

from . import views

urlpatterns = [
    path("health/live", views.live, name="health_live"),
    path("health/ready", views.ready, name="health_ready"),
    path("health/detail", views.detail, name="health_detail"),
    path("metrics", views.metrics, name="metrics"),
]
