from django.urls import path, re_path

from . import views
from .dispatch import api

urlpatterns = [
    path("docs/", views.docs, name="api_docs"),
    path("v1/openapi.json", views.document, name="api_document"),
    re_path(r"^v1/(?P<path>.*)$", api, name="api"),
]
