"""What a process keeps in its memory is never older than it may be: a second, or its settings, or its language."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from django.core.cache import cache
from django.template import Context, Template, TemplateSyntaxError
from django.utils.translation import override
from testing.factories import make_category, make_product, make_variant, make_zone

from pasargad import memory
from pasargad.catalog.models import Category
from pasargad.catalog.selectors import NAVIGATION_KEY
from pasargad.shipping.models import ShippingMethod

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock(monkeypatch):
    """Let a second be a second, which passes when the test says so."""
    # Whatever tests before read, they read long ago.
    now = SimpleNamespace(seconds=time.monotonic() + 1000)
    monkeypatch.setattr(memory, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    monkeypatch.setattr(memory, "RECENT_SECONDS", 1.0)
    return now


def text(client, path: str) -> str:
    return client.get(path).content.decode()


def test_a_recent_value_is_read_once_a_second_and_an_error_is_none(clock):
    answers = iter([1, RuntimeError(), 2, 3])

    def read() -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    recent = memory.Recent(read)
    assert [recent(), recent()] == [1, 1]
    clock.seconds += 0.9
    assert recent() == 1
    clock.seconds += 0.1
    with pytest.raises(RuntimeError):
        recent()
    assert [recent(), recent()] == [2, 2]
    clock.seconds += 1
    assert recent() == 3


def test_pages_show_new_shelves_and_promises_a_second_after_the_cache_has_them(client, clock):
    shelf = make_category("Bowls")
    path = f"/p/{make_variant(product=make_product(category=shelf)).product.slug}/"
    make_zone({"free_from_minor": 4200})
    before = text(client, path)
    assert "Bowls" in before and "$42.00" in before
    Category.objects.filter(pk=shelf.pk).update(name="Dishes")
    ShippingMethod.objects.update(free_from_minor=7700)
    cache.delete_many([NAVIGATION_KEY, "shipping:promise"])
    assert text(client, path) == before
    clock.seconds += 1
    after = text(client, path)
    assert "Bowls" not in after and after.count("Dishes") == before.count("Bowls")
    assert "$42.00" not in after and "$77.00" in after


def test_what_is_worked_out_follows_settings(settings):
    asked = []

    @memory.worked_out(maxsize=2)
    def address(path: str) -> str:
        asked.append(path)
        return f"{settings.SITE_URL}{path}"

    first = address("/")
    assert address("/") is first and asked == ["/"]
    settings.SITE_URL = "https://elsewhere.example"
    assert address("/") == "https://elsewhere.example/"


def test_a_kept_part_has_one_text_for_each_language_and_each_setting(settings):
    part = Template("{% load i18n kept static %}{% kept %}{% static 'a.css' %} {% translate 'Cart' %}{% endkept %}")
    with override("en"):
        assert part.render(Context()) == "/static/a.css Cart"
    with override("fa"):
        assert part.render(Context()) not in ("/static/a.css Cart", "")
    settings.STATIC_URL = "https://cdn.example/"
    with override("en"):
        assert part.render(Context()) == "https://cdn.example/a.css Cart"


@pytest.mark.parametrize("inside", ["{% block x %}{% endblock %}", "{% if a %}{% block x %}{% endblock %}{% endif %}"])
def test_a_kept_part_holds_no_block(inside):
    with pytest.raises(TemplateSyntaxError):
        Template(f"{{% load kept %}}{{% kept %}}{inside}{{% endkept %}}")
