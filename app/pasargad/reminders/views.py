"""Ending reminders: mail programs do it by one POST (RFC 8058), people by a page with a button."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from .services import consent_stop, token_is_ours


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def stop(request: HttpRequest, token: str) -> HttpResponse:
    """Opening the page changes nothing, as mail programs open links by themselves; a forged token does not exist."""
    if not token_is_ours(token):
        raise Http404
    stopped = request.method == "POST" and consent_stop(token)
    response = render(request, "reminders/stop.html", {"stopped": stopped})
    response.headers["Cache-Control"] = "private, no-store"
    return response


# Mail programs are no browsers on our pages: the token in the address is what is trusted.
stop.accepts_any_origin = True  # type: ignore[attr-defined]
