"""Flags: declared, switched, read for nothing, and the same for everybody where pages are kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.db import connection
from django.http import HttpResponse
from django.template import Context, Template
from django.test import RequestFactory
from django.utils import timezone
from django_redis.exceptions import ConnectionInterrupted
from testing.api import Api
from testing.factories import make_variant

from pasargad import flags
from pasargad.flags import declared, store
from pasargad.flags.declared import FLAGS, Flag
from pasargad.flags.models import FlagChange, FlagRule
from pasargad.flags.rules import Rule, bucket, holds_for
from pasargad.flags.services import flag_reset, flag_set
from pasargad.storefront.caching import shared


@pytest.fixture
def personal(monkeypatch) -> str:
    """A flag that may be on for some."""
    flag = Flag("new_cart", "tests", "A cart of a new kind.", default=lambda: False, personal=True)
    monkeypatch.setitem(declared.FLAGS, flag.name, flag)
    return flag.name


@pytest.fixture
def switch(django_capture_on_commit_callbacks):
    """Switch a flag and commit."""

    def run(name: str, rule: Rule | None) -> None:
        with django_capture_on_commit_callbacks(execute=True):
            if rule is None:
                flag_reset(name, actor="ada")
            else:
                flag_set(name, rule, actor="ada")

    return run


def test_a_name_that_nobody_declared_is_an_error():
    for ask in (lambda: flags.is_on("nothing"), lambda: flags.is_on_for("nothing", "x")):
        with pytest.raises(flags.NotDeclared):
            ask()
    with pytest.raises(flags.NotDeclared):
        Template("{% load flags %}{% flag 'nothing' %}").render(Context({}))
    assert all(flag.owner and flag.about for flag in FLAGS.values())


def test_settings_are_the_default_where_they_overlap(settings):
    for name in ("checkout", "search", "made_to_order"):
        for value in (True, False):
            settings.FEATURES = replace(settings.FEATURES, **{name: value})
            assert flags.is_on(name) is value
            assert getattr(flags.Features(settings.FEATURES), name) is value
    assert flags.Features(settings.FEATURES).admin is settings.FEATURES.admin


@pytest.mark.django_db
def test_what_staff_switch_holds_everywhere(switch, client, settings):
    make_variant()
    assert 'role="search"' in client.get("/shop/").content.decode()
    switch("search", Rule(is_on=False))
    assert 'role="search"' not in client.get("/shop/").content.decode()
    assert Api().get("/flags").json()["flags"] == {"checkout": True, "search": False, "made_to_order": True}
    switch("search", None)
    assert flags.is_on("search")
    history = list(FlagChange.objects.order_by("pk").values_list("name", "actor", "before", "after"))
    off = Rule(is_on=False).as_json()
    assert history == [("search", "ada", None, off), ("search", "ada", off, None)]


@pytest.mark.django_db
def test_reading_costs_no_query(switch, django_assert_num_queries):
    switch("search", Rule(is_on=False))
    assert flags.is_on("search") is False
    with django_assert_num_queries(0):
        for _ in range(100):
            flags.is_on("search")
    store.forget()
    with django_assert_num_queries(0):
        assert flags.is_on("search") is False, "another process finds it in Redis"


@pytest.mark.django_db
def test_a_change_reaches_a_process_that_knows_the_old_rule(switch, monkeypatch):
    assert flags.is_on("search")
    other = store._kept
    switch("search", Rule(is_on=False))
    store._kept = replace(other, checked_at=store.time.monotonic())
    assert flags.is_on("search"), "within a second a process believes what it knows"
    store._kept = other = replace(other, checked_at=store.time.monotonic() - 1.1)
    assert flags.is_on("search") is False


@pytest.mark.django_db
def test_old_rules_of_a_slow_reader_are_not_believed(switch, monkeypatch):
    """A reader reads the database before a change is committed, and stores what it read after it."""
    real = store._from_database
    store.forget()
    cache.clear()

    def slow():
        found = real()
        switch("search", Rule(is_on=False))
        return found

    monkeypatch.setattr(store, "_from_database", slow)
    assert flags.is_on("search")
    monkeypatch.setattr(store, "_from_database", real)
    store._kept = replace(store._kept, checked_at=float("-inf"))
    assert flags.is_on("search") is False


@pytest.mark.django_db
def test_without_redis_the_database_answers(switch, monkeypatch):
    switch("search", Rule(is_on=False))
    monkeypatch.setattr(store.cache, "get", lambda *args, **kwargs: None)
    monkeypatch.setattr(store.cache, "add", lambda *args, **kwargs: False)
    store.forget()
    assert flags.is_on("search") is False


@pytest.mark.django_db
def test_a_redis_that_forgot_everything_costs_no_query_and_hides_no_switching(switch, django_assert_num_queries):
    assert flags.is_on("search")
    cache.clear()
    store._kept = replace(store._kept, checked_at=float("-inf"))
    with django_assert_num_queries(0):
        assert flags.is_on("search")
    other = store._kept
    switch("search", Rule(is_on=False))
    store._kept = replace(other, checked_at=float("-inf"))
    assert flags.is_on("search") is False
    cache.clear()
    store._kept = replace(store._kept, checked_at=float("-inf"), read_at=float("-inf"))
    assert flags.is_on("search") is False, "after a minute the database is asked"


@pytest.mark.django_db
def test_a_redis_that_refuses_fails_nothing(switch, monkeypatch):
    def refuses(*args, **kwargs):
        raise ConnectionInterrupted(None)

    for name in ("get", "set", "add", "incr"):
        monkeypatch.setattr(store.cache, name, refuses)
    store.forget()
    switch("search", Rule(is_on=False))
    assert flags.is_on("search") is False


@pytest.mark.django_db
def test_without_redis_and_the_database_what_is_known_holds_and_then_the_default(switch, monkeypatch):
    switch("search", Rule(is_on=False))
    assert flags.is_on("search") is False
    monkeypatch.setattr(store.cache, "get", lambda *args, **kwargs: None)
    monkeypatch.setattr(store, "_from_database", lambda: None)
    store._kept = replace(store._kept, checked_at=float("-inf"))
    assert flags.is_on("search") is False, "what was known"
    store.forget()
    assert flags.is_on("search") is True, "the default in the code"


@pytest.mark.django_db
def test_a_database_that_fails_spoils_nothing_else(monkeypatch):
    monkeypatch.setattr(store.cache, "get", lambda *args, **kwargs: None)
    store.forget()

    def fails(execute, sql, *args):
        if "flags_flagrule" in sql:
            sql = "SELECT 1 FROM no_such_table"
        return execute(sql, *args)

    with connection.execute_wrapper(fails):
        assert flags.is_on("search") is True
    assert make_variant().pk, "the transaction around it goes on"


def test_a_flag_for_everybody_has_no_part_of_them(personal):
    for rule in (Rule(True, percentage=50), Rule(True, for_staff=True)):
        with pytest.raises(flags.NotForEverybody):
            flag_set("search", rule, actor="ada")
    with pytest.raises(flags.NotForEverybody):
        flags.is_on(personal)


@pytest.mark.django_db
def test_a_rule_that_came_past_the_service_splits_nobody(personal):
    FlagRule.objects.create(name="search", is_on=False, percentage=50)
    store.forget()
    cache.clear()
    assert flags.is_on("search") is True


def test_a_shared_page_refuses_personal_flags(personal, rf: RequestFactory):
    @shared
    def page(request):
        return HttpResponse(str(flags.is_on_for(personal, "user:1")))

    with pytest.raises(flags.NotForEverybody):
        page(rf.get("/"))

    @shared
    def template(request):
        text = "{% load flags %}{% flag 'new_cart' as on %}{{ on }}"
        return HttpResponse(Template(text).render(Context({"request": request})))

    with pytest.raises(flags.NotForEverybody):
        template(rf.get("/"))

    @shared
    def fine(request):
        return HttpResponse(str(flags.is_on("search")))

    assert fine(rf.get("/")).content == b"True"
    assert flags.is_on_for(personal, "user:1") is False, "outside of it nothing is refused"


def test_a_part_that_is_kept_takes_a_flag_as_a_value_only():
    inside = "{% load flags kept %}{% kept x=1 %}{% flag 'search' as on %}{{ on }}{% endkept %}"
    with pytest.raises(flags.NotForEverybody):
        Template(inside).render(Context({}))
    before = "{% load flags kept %}{% flag 'search' as on %}{% kept on=on %}{{ on }}{% endkept %}"
    assert Template(before).render(Context({})) == "True"


@pytest.mark.django_db
def test_a_template_asks_for_whoever_sees_it(personal, switch, rf: RequestFactory, admin_user):
    switch(personal, Rule(True, percentage=0, for_staff=True))
    text = Template("{% load flags %}{% flag 'new_cart' as on %}{{ on }}")
    request = rf.get("/")
    assert text.render(Context({"request": request})) == "False"
    request.user = admin_user
    assert text.render(Context({"request": request})) == "True"


def test_a_part_is_the_same_every_time_and_grows():
    now = timezone.now()
    subjects = [f"user:{number}" for number in range(4000)]
    on = {
        part: {s for s in subjects if holds_for(Rule(True, part), "x", s, staff=False, now=now)} for part in (0, 10, 30)
    }
    assert on[0] == set() and on[10] < on[30]
    assert 0.08 < len(on[10]) / 4000 < 0.12 and 0.27 < len(on[30]) / 4000 < 0.33
    assert bucket("x", "user:1") == 64, "a release must not shuffle who has what"
    assert not holds_for(Rule(True, 99), "x", "", staff=False, now=now)
    other = {s for s in subjects if holds_for(Rule(True, 10), "y", s, staff=False, now=now)}
    assert len(other & on[10]) < len(on[10]) / 2, "flags do not pick the same people"


@pytest.mark.parametrize(
    ("starts", "ends", "is_on"),
    [(None, None, True), (1, None, False), (-1, None, True), (-2, -1, False), (-1, 1, True)],
)
def test_a_flag_has_its_time(starts, ends, is_on):
    now = timezone.now()

    def day(number):
        return None if number is None else now + timedelta(days=number)

    rule = Rule(True, starts_at=day(starts), ends_at=day(ends))
    assert holds_for(rule, "x", "a", staff=True, now=now) is is_on
    assert Rule.from_json(rule.as_json()) == rule
    assert not holds_for(replace(rule, is_on=False), "x", "a", staff=True, now=now), "off is off for staff, too"


@pytest.mark.django_db
def test_staff_switch_it_on_their_pages(admin_client, django_capture_on_commit_callbacks, personal):
    def save(**changes):
        values = {"name": "search", "percentage": "100", **changes}
        with django_capture_on_commit_callbacks(execute=True):
            return admin_client.post("/admin/flags/flagrule/add/", values)

    assert save(percentage="20", is_on="on").status_code == 200, "shown again: this one is for everybody"
    assert not FlagRule.objects.exists()
    assert save().status_code == 302
    assert flags.is_on("search") is False and FlagChange.objects.get().actor
    row = FlagRule.objects.get()
    with django_capture_on_commit_callbacks(execute=True):
        changed = admin_client.post(f"/admin/flags/flagrule/{row.pk}/change/", {"is_on": "on", "percentage": "100"})
    assert changed.status_code == 302 and flags.is_on("search") and FlagChange.objects.count() == 2
    with django_capture_on_commit_callbacks(execute=True):
        admin_client.post(f"/admin/flags/flagrule/{row.pk}/delete/", {"post": "yes"})
    assert not FlagRule.objects.exists() and FlagChange.objects.count() == 3
    assert save(name=personal, percentage="20", is_on="on").status_code == 302
    page = admin_client.get("/admin/flags/flagrule/").content.decode()
    assert all(flag.about in page for flag in FLAGS.values())
    for path in ("flagrule/", "flagchange/", "flagchange/1/change/"):
        assert admin_client.get(f"/admin/flags/{path}").status_code in (200, 302)
