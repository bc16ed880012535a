"""Makes a request to the staff's pages the act of whoever is logged in."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from pasargad.clients import client_address

from .acting import acting, actor_of


class StaffActs:
    """Stands behind the authentication; pages of shoppers are not looked at."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self.prefix = f"/{settings.ADMIN_URL_PATH}/"

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path.startswith(self.prefix) or not getattr(request.user, "is_staff", False):
            return self.get_response(request)
        with acting(actor_of(request.user, client_address(request))):
            return self.get_response(request)
