"""What holds for every page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import translation

from pasargad import languages
from pasargad.origins import is_ours

from .limits import refused, too_many

GetResponse = Callable[[HttpRequest], HttpResponse]
SAFE = {"GET", "HEAD", "OPTIONS", "TRACE"}


class PathLanguage:
    """Speaks the language that a page's path names.

    Django's own middleware would mark pages as varying with `Accept-Language`, so that no shared cache could keep them.
    Programs are answered in English, whatever the shop speaks: their problem texts are for logs.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        code = "en" if request.path_info.startswith("/api/") else languages.split(request.path_info)[0]
        with translation.override(code):
            request.LANGUAGE_CODE = code  # type: ignore[attr-defined]
            response = self.get_response(request)
        response.headers.setdefault("Content-Language", code)
        return response


class PermissionsPolicy:
    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Permissions-Policy", settings.PERMISSIONS_POLICY)
        return response


class Maintenance:
    """Answers shoppers with a friendly 503 while the shop is closed; health, webhooks and staff still work."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        # Staff sign in where everybody does.
        self.open = (
            *("/health/", "/webhooks/", "/metrics", f"/{settings.ADMIN_URL_PATH}/"),
            *("/account/login/", "/account/logout/", "/account/2fa/", "/account/reauthenticate/"),
        )

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not settings.FEATURES.maintenance or languages.without_prefix(request.path).startswith(self.open):
            return self.get_response(request)
        if request.path.startswith("/api/"):
            closed = {"type": "about:blank", "title": "Service Unavailable", "status": 503, "detail": "Maintenance."}
            response: HttpResponse = JsonResponse(closed, status=503, content_type="application/problem+json")
        else:
            response = render(request, "503.html", status=503)
        response.headers["Retry-After"] = "300"
        response.headers["Cache-Control"] = "no-store"
        return response


class OriginCheck:
    """Guards forms without a token: a browser says where a form comes from, and only ours is taken.

    Views with Django's token check are left to it. A request without `Sec-Fetch-Site`, `Origin` and `Referer` is not
    from a browser that follows a foreign page, so it carries nobody's cookies unwillingly. A view that anybody may
    call (a webhook) says so with `accepts_any_origin`.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        guarded = getattr(view, "csrf_exempt", False) and not getattr(view, "accepts_any_origin", False)
        if request.method in SAFE or not guarded or is_ours(request):
            return None
        return render(request, "403.html", status=403)


class LoginLimit:
    """Limits attempts to sign in, before anything else is done for them."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self.path = "/account/login/"

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method == "POST" and languages.without_prefix(request.path) == self.path:
            wait = too_many(request, "login", settings.RATE_LIMITS.login)
            if wait:
                return refused(request, wait)
        return self.get_response(request)
