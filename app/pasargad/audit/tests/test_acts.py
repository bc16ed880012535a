"""Every act of the staff is written down with its author, in its transaction, without secrets or personal data."""

from __future__ import annotations

import csv
import io

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.test import RequestFactory
from django.urls import reverse
from django.utils import timezone
from testing.factories import make_order, make_product, make_variant
from testing.money import make_paid
from testing.shopper import ADDRESS
from testing.staff import log_in, make_member

from pasargad.accounts.models import User
from pasargad.accounts.services import ensure_admin
from pasargad.audit.acting import Actor, acting
from pasargad.audit.export import safe_cell
from pasargad.audit.masking import MASK
from pasargad.audit.models import Entry
from pasargad.catalog.models import Category, Product
from pasargad.notifications.models import Mail
from pasargad.orders.models import Order

pytestmark = pytest.mark.django_db
GOOD = "correct horse battery 9"
BOSS = Actor(7, "boss@example.org", "192.0.2.7")


def last(**fields: object) -> Entry:
    return Entry.objects.filter(**fields).latest("id")


def test_a_change_on_a_form_is_noted_field_by_field(client, settings):
    user = log_in(client, "catalogue")
    category = Category.objects.create(name="Lamps", slug="lamps", position=1)
    client.post(
        reverse("admin:catalog_category_change", args=[category.pk]),
        {"name": "Lights", "slug": "lamps", "position": "1", "is_active": "on", "description": ""},
        headers={"X-Forwarded-For": "203.0.113.9", "X-Request-ID": "request-of-the-test"},
    )
    entry = last(action="changed", target_type="catalog.category")
    assert entry.changes["name"] == ["Lamps", "Lights"] and "position" not in entry.changes
    assert (entry.actor, entry.actor_id, entry.address) == (str(user), user.pk, "203.0.113.9")
    assert (entry.target_id, entry.target, entry.request_id) == (str(category.pk), "Lights", "request-of-the-test")


def test_a_change_that_fails_leaves_no_entry():
    product = make_product()
    count = Entry.objects.count()
    with pytest.raises(ZeroDivisionError), acting(BOSS), transaction.atomic():
        product.featured = True
        product.save()
        assert Entry.objects.count() > count
        raise ZeroDivisionError
    assert Entry.objects.count() == count


def test_what_is_made_and_deleted_is_noted_too(client):
    log_in(client, "manager")
    client.post(reverse("admin:catalog_attribute_add"), {
        "name": "Finish", "code": "finish", "type": "text", "position": "0", "unit": "",
        "choices-TOTAL_FORMS": "0", "choices-INITIAL_FORMS": "0",
    })  # fmt: skip
    made = last(action="created", target_type="catalog.attribute")
    assert made.changes["code"] == [None, "finish"]
    with acting(BOSS):
        Category.objects.create(name="Gone", slug="gone").delete()
    assert last(action="deleted").changes["slug"] == ["gone", None]


def test_shoppers_and_workers_write_nothing(client):
    count = Entry.objects.count()
    make_paid(make_order())
    variant = make_variant()
    client.post("/cart/add/", {"variant": variant.sku, "quantity": "1"})
    client.post("/checkout/", ADDRESS)
    User.objects.create_user("shopper@example.org", GOOD).save()
    client.login(username="shopper@example.org", password=GOOD)
    client.login(username="shopper@example.org", password="wrong")
    client.login(username="nobody@example.org", password="wrong")
    client.logout()
    assert Entry.objects.count() == count


def test_personal_data_and_secrets_are_masked():
    order = make_order()
    with acting(BOSS):
        order.email, order.name, order.street, order.note = "eve@example.org", "Eve", "2 New Street", "Ring twice"
        order.token = "f" * 32
        order.save()
        user = User.objects.create_user("new@example.org", GOOD, name="Newton", is_staff=True)
        user.set_password(GOOD + "!")
        user.save()
        Mail.objects.create(kind="x", key="order:1", recipient="ada@example.org", next_attempt_at=timezone.now())
    changes = last(target_type="orders.order").changes
    for name in ("email", "name", "street", "token"):
        assert changes[name] == [MASK, MASK], name
    assert changes["note"] == ["", MASK]
    text = " ".join(str(entry.changes) + entry.target for entry in Entry.objects.all())
    for secret in ("eve@", "Eve", "New Street", "Ring twice", "new@", "Newton", "argon2", "md5", "ada@", "f" * 32):
        assert secret not in text, secret
    assert last(target_type="accounts.user", action="changed").changes == {"password": [MASK, MASK]}
    assert last(target_type="orders.order").target == order.number


def test_log_ins_failures_and_log_outs_of_the_staff_are_noted(client):
    ensure_admin("boss@example.org", GOOD)
    path = reverse("account_login")
    sent = {"X-Forwarded-For": "198.51.100.4"}
    client.post(path, {"login": "boss@example.org", "password": "my other password"}, headers=sent)
    failed = last(action="log-in failed")
    boss = User.objects.get()
    assert (failed.actor, failed.target_id, failed.address) == ("somebody", str(boss.pk), "198.51.100.4")
    client.post(path, {"login": "hunter2-typed-by-mistake", "password": "x"}, headers=sent)
    assert Entry.objects.filter(action="log-in failed").count() == 1, "whoever it was meant no account of the staff"
    client.post(path, {"login": "boss@example.org", "password": GOOD}, headers=sent)
    assert last(action="logged in").actor_id == boss.pk and last(action="logged in").address == "198.51.100.4"
    client.post(reverse("admin:logout"))
    assert last(action="logged out").actor_id == boss.pk
    text = " ".join(str(vars(entry)) for entry in Entry.objects.all())
    assert "hunter2" not in text and "my other password" not in text and GOOD not in text


def test_changes_of_rights_are_noted_whoever_makes_them(django_user_model):
    member = make_member("packing")
    count = Entry.objects.filter(action="added to").count()
    with acting(BOSS):
        member.groups.add(Group.objects.get(name="finance"))
    added = last(action="added to")
    assert added.changes == {"auth.group": [None, ["finance"]]} and added.target_id == str(member.pk)
    member.groups.remove(Group.objects.get(name="finance"))
    assert last(action="taken from").actor == "command", "also without anybody logged in"
    right = Permission.objects.get(codename="add_refund")
    Group.objects.get(name="packing").permissions.add(right)
    assert "add refund" in str(last(action="added to", target_type="auth.group").changes)
    member.groups.clear()
    assert last(action="taken from").changes == {"auth.group": [["packing"], None]}
    assert Entry.objects.filter(action="added to").count() == count + 2
    member.is_superuser = True
    member.save()
    assert last(action="changed", target_type="accounts.user").changes == {"is_superuser": [False, True]}
    shopper = django_user_model.objects.create_user("shopper@example.org", GOOD)
    shopper.is_staff = True
    shopper.save()
    assert last(action="changed").changes == {"is_staff": [False, True]}
    shopper.delete()
    assert last(action="deleted").target_type == "accounts.user"


def test_actions_on_lists_are_noted_with_their_rows(client):
    log_in(client, "manager")
    products = [make_product(published=False) for _ in range(3)]
    count = Entry.objects.count()
    values = {"action": "publish", "_selected_action": [product.pk for product in products[:2]]}
    client.post(reverse("admin:catalog_product_changelist"), values)
    entry = last(action="began publish")
    assert entry.changes == {"rows": [None, sorted(str(product.pk) for product in products[:2])]}
    assert Product.objects.filter(state="published").count() == 2 and Entry.objects.count() > count
    assert last(action="changed", target_type="catalog.product").changes["state"] == ["draft", "published"]


def test_those_without_the_right_begin_no_action(client):
    log_in(client, "packing")
    product = make_product(published=False)
    client.post(reverse("admin:catalog_product_changelist"), {"action": "publish", "_selected_action": [product.pk]})
    assert not Entry.objects.filter(action="began publish").exists()
    product.refresh_from_db()
    assert product.state == "draft"


def test_the_log_is_only_read_and_its_page_filters(client, settings):
    log_in(client, "manager")
    with acting(BOSS):
        make_product()
    entry = last(target_type="catalog.product")
    base = reverse("admin:audit_entry_changelist")
    assert client.get(base, {"q": "boss@example.org"}).context["cl"].result_count > 0
    assert client.get(base, {"action": "created", "target_type": "catalog.product"}).context["cl"].result_count == 1
    page = client.get(reverse("admin:audit_entry_change", args=[entry.pk]))
    assert page.status_code == 200 and b'name="_save"' not in page.content
    assert client.post(reverse("admin:audit_entry_change", args=[entry.pk]), {"actor": "x"}).status_code == 403
    assert client.get(reverse("admin:audit_entry_add")).status_code == 403
    assert client.post(reverse("admin:audit_entry_delete", args=[entry.pk])).status_code == 403
    ensure_admin("boss@example.org", GOOD)
    client.force_login(User.objects.get(email="boss@example.org"))
    assert client.post(reverse("admin:audit_entry_delete", args=[entry.pk])).status_code == 403


def rows_of(answer) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))


def test_what_the_list_shows_is_exported_and_that_is_noted(client):
    log_in(client, "manager")
    with acting(BOSS):
        Category.objects.create(name='=HYPERLINK("http://evil.example")', slug="evil")
        make_product()
    export = reverse("admin:audit_export")
    answer = client.post(f"{export}?target_type=catalog.category&q=HYPERLINK")
    rows = rows_of(answer)
    assert [row["target"] for row in rows] == ['\'=HYPERLINK("http://evil.example")']
    assert answer.headers["Content-Type"] == "text/csv" and "attachment" in answer.headers["Content-Disposition"]
    noted = last(action="exported")
    assert noted.changes == {"rows": [None, 1]} and noted.actor == "manager@staff.example"
    assert client.get(export).status_code == 403


def test_only_those_with_the_right_export(client):
    user = log_in(client)
    user.user_permissions.add(Permission.objects.get(codename="view_entry", content_type__app_label="audit"))
    page = client.get(reverse("admin:audit_entry_changelist"))
    assert page.status_code == 200 and b"Export as CSV" not in page.content
    assert client.post(reverse("admin:audit_export")).status_code == 403


def test_too_long_an_export_is_refused_in_words(client, monkeypatch):
    monkeypatch.setattr("pasargad.audit.admin.LONGEST_EXPORT", 0)
    log_in(client, "manager")
    answer = client.post(reverse("admin:audit_export"))
    assert answer.status_code == 200 and b"Narrow the list down" in answer.content


@pytest.mark.parametrize("value", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", " =1", "\u00a0=1", "|calc", "%x", "\n=1"])
def test_no_cell_begins_a_formula(value):
    assert safe_cell(value) == f"'{value}"


@pytest.mark.parametrize("value", ["12", "a=1", "2026-01-01", "", "boss@example.org"])
def test_harmless_cells_stay(value):
    assert safe_cell(value) == value


def test_the_author_of_an_act_does_not_outlive_its_request(client):
    from pasargad.audit.acting import acting_now
    from pasargad.audit.middleware import StaffActs

    user = make_member("packing")
    request = RequestFactory().get("/admin/")
    request.user = user
    seen = []
    with pytest.raises(ZeroDivisionError):
        StaffActs(lambda request: seen.append(acting_now()) or 1 / 0)(request)
    assert seen[0].id == user.pk and acting_now() is None
    shop = RequestFactory().get("/cart/")
    shop.user = user
    StaffActs(lambda request: seen.append(acting_now()))(shop)
    assert seen[1] is None
    assert Order.objects.count() == 0
