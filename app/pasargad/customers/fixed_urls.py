"""Where other providers send people back to: the addresses are registered with them, so they have no language.

The library names them as its own, which are beside them under each language; the last of a name is the one that is
given to providers.
"""

from collections.abc import Iterator

from allauth.urls import build_provider_urlpatterns
from django.urls import URLPattern, URLResolver, path


def _callbacks(patterns: list[URLPattern | URLResolver], before: str = "") -> Iterator[URLPattern]:
    for pattern in patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _callbacks(pattern.url_patterns, route)
        elif pattern.name and pattern.name.endswith("_callback"):
            yield path(route, pattern.callback, name=pattern.name)


urlpatterns = list(_callbacks(build_provider_urlpatterns()))
