"""Whether this process lives, whether it may be given requests, and figures for those who know the token."""

from __future__ import annotations

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from . import checks


@never_cache
@require_safe
def live(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"status": "ok", "release": settings.PASARGAD_RELEASE, "slot": settings.PASARGAD_SLOT})


@never_cache
@require_safe
def ready(request: HttpRequest) -> HttpResponse:
    result = checks.run(checks.READY)
    return JsonResponse(result, status=200 if result["status"] == "ok" else 503)


@never_cache
@require_safe
def detail(request: HttpRequest) -> HttpResponse:
    require_token(request)
    result = checks.run(checks.DETAIL)
    return JsonResponse(result, status=200 if result["status"] == "ok" else 503)


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    if not settings.FEATURES.metrics:
        raise Http404
    require_token(request)
    from .metrics import exposition

    return HttpResponse(exposition(), content_type="text/plain; version=0.0.4; charset=utf-8")


def require_token(request: HttpRequest) -> None:
    """Hide a page from everybody without the token."""
    expected = f"Bearer {settings.MONITORING.metrics_token}"
    if not constant_time_compare(request.headers.get("Authorization", ""), expected):
        raise Http404
