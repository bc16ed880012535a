"""`{% kept name=value … %}`: a part of a page, rendered once for the same values.

What stands inside sees only the values that are named, so a part cannot depend on something it is not kept by: what
was forgotten is missing at once, on every page. Values must be hashable. A block cannot stand inside, because a
template that fills it names nothing.
"""

from __future__ import annotations

from typing import Any

from django import template
from django.conf import settings
from django.core.signals import setting_changed
from django.template.base import FilterExpression, NodeList, Parser, Token, token_kwargs
from django.template.context import Context
from django.template.loader_tags import BlockNode
from django.utils.safestring import SafeString
from django.utils.translation import get_language

from pasargad.flags import kept_for_long

register = template.Library()
LIMIT = 500


class KeptNode(template.Node):
    # Blocks are looked for in all of a base template, for every page: there are none in here.
    child_nodelists = ()

    def __init__(self, values: dict[str, FilterExpression], nodelist: NodeList) -> None:
        self.values = values
        self.nodelist = nodelist
        self.kept: dict[tuple[Any, ...], SafeString] = {}
        setting_changed.connect(self.forget)

    def render(self, context: Context) -> SafeString:
        values = {name: value.resolve(context) for name, value in self.values.items()}
        key = (get_language(), *values.values())
        found = self.kept.get(key)
        if found is None or settings.DEBUG:
            with kept_for_long():
                found = self.nodelist.render(context.new(values))
            if len(self.kept) >= LIMIT:
                self.kept.clear()
            self.kept[key] = found
        return found

    def forget(self, **_: Any) -> None:
        """Keep nothing of before: addresses follow from settings, which only tests change."""
        self.kept.clear()


@register.tag
def kept(parser: Parser, token: Token) -> KeptNode:
    words = token.split_contents()[1:]
    values = token_kwargs(words, parser)
    if words:
        raise template.TemplateSyntaxError("kept takes only name=value.")
    nodelist = parser.parse(("endkept",))
    parser.delete_first_token()
    if nodelist.get_nodes_by_type(BlockNode):
        raise template.TemplateSyntaxError("kept cannot hold a block.")
    return KeptNode(values, nodelist)
