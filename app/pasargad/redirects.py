"""Redirects after a POST."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import HttpResponse, HttpResponseRedirect
from django.urls import reverse


def see_other(url: str) -> HttpResponse:
    """Redirect after a POST: 303 makes every client ask with GET."""
    return HttpResponseRedirect(url, status=303)


def see_other_url(name: str, **query: str) -> HttpResponse:
    return see_other(f"{reverse(name)}?{urlencode(query)}" if query else reverse(name))
