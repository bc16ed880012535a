"""Who is at the other end of a request."""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.http import HttpRequest

# A line has at least so many of an IPv6 address to itself: whoever has one address has 2 ** 64.
IPV6_LINE_BITS = 64


def client_address(request: HttpRequest) -> str:
    """Return the address of the client, as the outermost proxy of ours saw it: what others claim is not believed.

    An IPv4 address that is written as IPv6 is returned as what it is.
    """
    trusted = settings.RATE_LIMITS.trusted_proxies
    hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",") if hop.strip()]
    if trusted and len(hops) >= trusted:
        return _plain(hops[-trusted])
    return _plain(request.META.get("REMOTE_ADDR") or "unix")


def limit_subject(request: HttpRequest) -> str:
    """Return whom limits count: an IPv4 address, or the network of one line of IPv6, as nginx does in front of us."""
    address = client_address(request)
    if ":" not in address:
        return address
    try:
        whole = int(ipaddress.IPv6Address(address))
    except ValueError:
        return address
    rest = 128 - IPV6_LINE_BITS
    return f"{ipaddress.IPv6Address(whole >> rest << rest)}/{IPV6_LINE_BITS}"


def _plain(address: str) -> str:
    if ":" not in address:
        return address
    try:
        return str(ipaddress.IPv6Address(address).ipv4_mapped or address)
    except ValueError:
        return address
