"""`{% load flags %}{% flag "name" as it_is_on %}`: on a *shared* page only flags that are the same for everybody."""

from __future__ import annotations

from typing import Any

from django import template

from pasargad.flags import NotForEverybody, is_on, is_on_for, subject_of
from pasargad.flags.declared import flag_named
from pasargad.flags.evaluating import is_kept

register = template.Library()


@register.simple_tag(takes_context=True)
def flag(context: dict[str, Any], name: str) -> bool:
    """Whether a flag is on for whoever sees the page."""
    if is_kept():
        raise NotForEverybody(f"The flag {name} stands in a part that is kept: ask before it, and name the answer.")
    if not flag_named(name).personal:
        return is_on(name)
    request = context["request"]
    user = getattr(request, "user", None)
    return is_on_for(name, subject_of(request), staff=bool(user and user.is_staff))
