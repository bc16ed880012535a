"""What nobody should send, and how it is answered: in order, at once, and without harm."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test import Client
from django.utils import timezone
from testing.api import Api, order_body, with_cart, with_key
from testing.factories import make_category, make_product, make_variant

from config.env import Rate
from pasargad.accounts.models import User
from pasargad.api import dispatch, keys
from pasargad.api.models import ApiKey
from pasargad.api.problems import KINDS
from pasargad.api.reading import DEEPEST, MOST_BYTES
from pasargad.api.scopes import RIGHTS, Scope
from pasargad.catalog.models import Product
from pasargad.flags.rules import Rule
from pasargad.flags.services import flag_set


def send(body: bytes, kind: str = "application/json", path: str = "/cart/lines", **headers: str):
    token = with_cart().headers["X-Cart-Token"]
    sent = {"X-Cart-Token": token, "Idempotency-Key": "k" * 20, **headers}
    return Client().post(f"/api/v1{path}", body, content_type=kind, headers=sent)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b" ", 400),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b'{"sku": NaN}', 400),
        (b'{"sku": "A", "sku": "B"}', 400),
        (b'{"sku": "A\\u0000", "quantity": 1}', 400),
        (b'{"sku": "A\\ud800", "quantity": 1}', 400),
        (b'{"a": ' + b"[" * DEEPEST + b"]" * DEEPEST + b"}", 400),
        (b"[" * 60_000, 400),
        (b'{"quantity": ' + b"9" * 5000 + b"}", 400),
        (b" " * (MOST_BYTES + 1), 413),
        (b'"text"', 422),
        (b"[]", 422),
        (b"null", 422),
        (b'{"sku": "A", "quantity": true}', 422),
        (b'{"sku": "A", "quantity": "1"}', 422),
        (b'{"sku": "A", "quantity": 1.5}', 422),
        (b'{"sku": "A", "quantity": 99999999999999999999}', 422),
        (b'{"sku": "A", "quantity": 1, "price": 0}', 422),
    ],
)
def test_bodies_that_are_none(body, status):
    answer = send(body)
    assert answer.status_code == status, answer.content
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.django_db
def test_depth_is_counted_outside_of_texts():
    assert send(json.dumps({"sku": "[" * 50 + '"{' * 9, "quantity": 1}).encode()).status_code == 422


@pytest.mark.django_db
def test_only_json_is_read():
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        assert send(b'{"sku": "A"}', kind).status_code == 415


@pytest.mark.django_db
def test_all_that_is_wrong_is_said_at_once():
    token = with_cart().headers["X-Cart-Token"]
    body = order_body(email="no mail", agreed_total_minor=-1, surprise=1)
    body["delivery"] = {"kind": "shipping", "name": " ", "street": "x" * 121}
    answer = Client().post(
        "/api/v1/checkout?debug=1",
        json.dumps(body),
        content_type="application/json",
        headers={"X-Cart-Token": token, "Idempotency-Key": "short"},
    )
    found = {(error["place"], error["field"]) for error in answer.json()["errors"]}
    assert answer.status_code == 422
    assert found == {
        ("query", "debug"),
        ("header", "Idempotency-Key"),
        ("body", "/email"),
        ("body", "/agreed_total_minor"),
        ("body", "/surprise"),
        ("body", "/delivery/shipping/name"),
        ("body", "/delivery/shipping/street"),
        ("body", "/delivery/shipping/city"),
        ("body", "/delivery/shipping/zip"),
        ("body", "/delivery/shipping/country"),
    }
    assert "no mail" not in answer.content.decode(), "what was typed is not sent back"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=101", "limit=x", "limit=1&limit=2", "available=yes", "sort=random", "unknown=1", "q=%00",
     "price_from=-1", "attribute=nocolon", "&".join(["material=a"] * 11), "category=a/b"],
)  # fmt: skip
def test_parameters_that_are_none(query):
    assert Api().get(f"/products?{query}").status_code == 422


@pytest.mark.django_db
def test_more_parameters_than_anybody_sends():
    assert Client().get("/api/v1/products?" + "a=1&" * 600).status_code == 400


@pytest.mark.django_db
def test_nobody_makes_a_key_that_may_do_more_than_its_maker(client):
    maker = User.objects.create_user("maker@example.org", "a long password", is_staff=True)
    for right in ("api.add_apikey", "api.view_apikey", RIGHTS[Scope.STOCK_WRITE]):
        label, _dot, codename = right.partition(".")
        maker.user_permissions.add(Permission.objects.get(content_type__app_label=label, codename=codename))
    client.force_login(maker)
    values = {"name": "till", "scopes": ["refunds:write"], "per_minute": "60"}
    assert client.post("/admin/api/apikey/add/", values).status_code == 200
    assert not ApiKey.objects.exists()
    assert client.post("/admin/api/apikey/add/", {**values, "scopes": ["stock:write"]}).status_code == 302
    assert ApiKey.objects.get().scopes == ["stock:write"]


@pytest.mark.django_db
def test_addresses_and_methods_that_are_none():
    for path in ("/", "/nothing", "/products/", "/products/a/b", "/orders/short", "/products/%00"):
        answer = Api().get(path)
        assert answer.status_code == 404 and answer.headers["Content-Type"] == "application/problem+json", path
    answer = Api()("DELETE", "/products")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
    assert Client().options("/api/v1/cart/lines/1").headers["Allow"] == "DELETE, OPTIONS, PATCH"
    head = Client().head("/api/v1/products")
    assert (head.status_code, head.content) == (200, b"") and head.headers["ETag"]


@pytest.mark.django_db
def test_a_fault_of_ours_tells_nothing_of_itself(monkeypatch):
    client = Client(raise_request_exception=False)

    def broken(*args):
        raise RuntimeError("the secret is in the message")

    monkeypatch.setattr(dispatch.access, "authorise", broken)
    answer = client.get("/api/v1/products")
    assert answer.status_code == 500 and answer.json()["type"].endswith("broken")
    assert "secret" not in answer.content.decode()


@pytest.mark.django_db
def test_goods_that_others_hold_are_asked_for_again(monkeypatch):
    def waits(*args):
        with connection.cursor() as cursor:
            cursor.execute("DO $$ BEGIN RAISE SQLSTATE '55P03'; END $$")

    monkeypatch.setattr(dispatch.access, "authorise", waits)
    answer = Client().get("/api/v1/products")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


@pytest.mark.django_db
def test_a_key_is_known_by_its_digest_alone():
    key, text = keys.key_create(name="till", scopes=[Scope.STOCK_WRITE], created_by="test")
    secret = text.split("_", 2)[2]
    stored = " ".join(str(value) for value in ApiKey.objects.values_list().get())
    assert text.startswith(f"pp_{key.prefix}_") and secret[-20:] not in stored
    assert keys.key_find(text) == key
    key.refresh_from_db()
    assert key.last_used_at is not None
    for wrong in ("", "pp_", text[:-1], text + "x", text[:-1] + ("A" if text[-1] != "A" else "B"), text.upper()):
        assert keys.key_find(wrong) is None
    ApiKey.objects.update(expires_at=timezone.now())
    assert keys.key_find(text) is None
    ApiKey.objects.update(expires_at=None)
    assert keys.key_revoke(key.pk) and not keys.key_revoke(key.pk)
    assert keys.key_find(text) is None


@pytest.mark.django_db
def test_a_wrong_key_is_refused_even_where_none_is_needed():
    for header in ("Bearer pp_000000000000_" + "x" * 43, "Basic dXNlcjpwYXNz", "Bearer"):
        answer = Api({"Authorization": header}).get("/products")
        assert answer.status_code == 401 and answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.django_db
def test_the_command_prints_a_key_that_works(capsys):
    call_command("api_key_create", "till", "--scope", "stock:write", "--days", "30")
    text = capsys.readouterr().out.strip()
    sku = make_variant().sku
    assert Api({"Authorization": f"Bearer {text}"}).get(f"/staff/stock/{sku}").status_code == 200
    with pytest.raises(CommandError):
        call_command("api_key_create", "till", "--scope", "stock:write", "--days", "0")
    with pytest.raises(CommandError):
        call_command("api_key_create", "till", "--scope", "everything")


@pytest.mark.django_db
def test_the_staff_s_pages_show_a_key_once(admin_client):
    values = {"name": "till", "scopes": ["stock:write"], "per_minute": "60"}
    page = admin_client.post("/admin/api/apikey/add/", values, follow=True).content.decode()
    key = ApiKey.objects.get()
    shown = page[page.index("pp_") :].split("<")[0].strip()
    assert keys.key_find(shown) == key and key.created_by
    assert shown not in admin_client.get("/admin/api/apikey/").content.decode()
    admin_client.post("/admin/api/apikey/", {"action": "revoke", "_selected_action": [key.pk]})
    assert keys.key_find(shown) is None
    assert admin_client.post(f"/admin/api/apikey/{key.pk}/change/", values).status_code == 403


@pytest.mark.django_db
def test_requests_are_counted_by_key_and_by_address(settings):
    few = Rate(2, 60)
    settings.RATE_LIMITS = replace(settings.RATE_LIMITS, enabled=True, search=few, login=few)
    first, second, third = (Api().get("/products") for _ in range(3))
    assert [answer.status_code for answer in (first, second, third)] == [200, 200, 429]
    assert first.headers["RateLimit-Policy"] == '"default";q=2;w=60'
    assert first.headers["RateLimit"].startswith('"default";r=1;t=')
    assert 1 <= int(third.headers["Retry-After"]) <= 60
    _key, text = keys.key_create(name="busy", scopes=[Scope.STOCK_WRITE], created_by="test", per_minute=3)
    busy = Api({"Authorization": f"Bearer {text}"})
    assert [busy.get("/products").status_code for _ in range(4)] == [200, 200, 200, 429]
    guess = Api({"Authorization": "Bearer pp_000000000000_" + "x" * 43})
    assert [guess.get("/products").status_code for _ in range(3)] == [401, 401, 429]


@pytest.mark.django_db
def test_addresses_of_one_line_of_ipv6_count_together(settings):
    few = Rate(2, 60)
    settings.RATE_LIMITS = replace(settings.RATE_LIMITS, enabled=True, search=few, login=few, trusted_proxies=1)
    wrong = {"Authorization": "Bearer pp_000000000000_" + "x" * 43}

    def ask(address: str, **headers: str) -> int:
        return Api({"X-Forwarded-For": address, **headers}).get("/products").status_code

    assert [ask(f"2001:db8:0:1::{number}") for number in range(3)] == [200, 200, 429]
    assert [ask(f"2001:db8:0:1::{number}", **wrong) for number in range(3)] == [401, 401, 429]
    assert ask("2001:db8:0:2::1") == 200


@pytest.mark.django_db
def test_a_change_of_something_older_is_refused():
    product = make_variant().product
    api = with_key(Scope.PRODUCTS_WRITE)
    path = f"/staff/products/{product.slug}"
    seen = api.get(path).headers["ETag"]
    assert api("PATCH", path, {"summary": "Blind"}).status_code == 428
    first = api("PATCH", path, {"summary": " First "}, If_Match=seen)
    assert first.status_code == 200 and first.json()["summary"] == "First"
    assert api("PATCH", path, {"summary": "Second"}, If_Match=seen).status_code == 412
    assert api("PATCH", path, {"summary": "Second"}, If_Match=f"W/{first.headers['ETag']}").status_code == 412
    assert api("PATCH", path, {"summary": "Second"}, If_Match=f'"x", {first.headers["ETag"]}').status_code == 200
    assert api("PATCH", path, {"summary": "Third"}, If_Match="unquoted").status_code == 412
    assert Product.objects.get().summary == "Second"


@pytest.mark.django_db
def test_two_tabs_of_one_cart():
    api = with_cart((make_variant(stock=9).sku, 1))
    seen = api.get("/cart")
    path = f"/cart/lines/{seen.json()['lines'][0]['line']}"
    assert api("PATCH", path, {"quantity": 2}, If_Match=seen.headers["ETag"]).status_code == 200
    assert api("PATCH", path, {"quantity": 3}, If_Match=seen.headers["ETag"]).status_code == 412
    assert api("PATCH", path, {"quantity": 4}).json()["pieces"] == 4


@pytest.mark.django_db
def test_what_is_known_already_is_not_sent_again():
    make_variant()
    answer = Api().get("/products")
    known = Api().get("/products", If_None_Match=answer.headers["ETag"])
    assert (known.status_code, known.content) == (304, b"")
    Product.objects.update(name="Another name")
    assert Api().get("/products", If_None_Match=answer.headers["ETag"]).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("sort", ["newest", "price", "-price", "name", "best"])
def test_a_cursor_leads_through_a_list_once(sort, django_assert_max_num_queries):
    category = make_category()
    for number in range(7):
        # Equal names and prices: only the second column tells them apart.
        make_variant(product=make_product(category=category, name="Lamp" if number % 2 else "Lamp two"))
    seen, cursor = [], ""
    words = "&q=lamp" if sort == "best" else ""
    while cursor is not None:
        with django_assert_max_num_queries(5):
            answer = Api().get(f"/products?limit=3&sort={sort}{words}{cursor and f'&cursor={cursor}'}").json()
        seen += [item["slug"] for item in answer["items"]]
        cursor = answer["next"]
    assert len(seen) == len(set(seen)) == 7


@pytest.mark.django_db
def test_a_cursor_of_another_list_is_none_of_ours():
    for _ in range(3):
        make_variant()
    cursor = Api().get("/products?limit=1").json()["next"]
    assert Api().get(f"/products?limit=2&cursor={cursor}").status_code == 200
    for query in (f"sort=price&cursor={cursor}", "cursor=abc", f"cursor={cursor}x"):
        assert Api().get(f"/products?{query}").status_code == 409
    staff = with_key(Scope.ORDERS_READ)
    assert staff.get(f"/staff/orders?cursor={cursor}").status_code == 409


@pytest.mark.django_db
def test_facets_say_what_each_choice_would_leave():
    for material in ("PLA", "PLA", "PETG"):
        make_variant(product=make_product(material=material))
    found = Api().get("/products?material=PLA").json()
    assert found["total"] == 2
    [facet] = [facet for facet in found["facets"] if facet["name"] == "material"]
    assert facet["values"] == [{"value": "PLA", "count": 2}, {"value": "PETG", "count": 1}]
    assert Api().get("/products?price_from=2000").json()["total"] == 0
    assert Api().get("/products?price_from=900&price_below=1001&available=true").json()["total"] == 3
    assert Api().get("/products?category=nowhere").json()["items"] == []
    assert Api().get("/products?facets=false").json()["total"] is None


@pytest.mark.django_db
def test_the_api_can_be_switched_off(django_capture_on_commit_callbacks, settings):
    with django_capture_on_commit_callbacks(execute=True):
        flag_set("api", Rule(is_on=False), actor="test")
    answer = Client().get("/api/v1/products")
    assert answer.status_code == 503 and answer.headers["Retry-After"]
    settings.FEATURES = replace(settings.FEATURES, maintenance=True)
    closed = Client().get("/api/v1/products")
    assert closed.status_code == 503 and closed.headers["Content-Type"] == "application/problem+json"


class Marks(HTMLParser):
    """Notes what a content policy without inline code forbids, and where things are loaded from."""

    def __init__(self) -> None:
        super().__init__()
        self.inline: list[str] = []
        self.sources: list[str] = []
        self.in_script = False

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.inline += [name for name in given if name == "style" or name.startswith("on")]
        self.sources += [given[name] for name in ("src",) if name in given]
        self.inline += [tag] if tag == "style" or (tag == "script" and "src" not in given) else []


@pytest.mark.django_db
def test_the_documentation_is_whole_and_needs_no_inline_code():
    page = Client().get("/api/docs/")
    html = page.content.decode()
    assert page.status_code == 200 and not page.cookies
    marks = Marks()
    marks.feed(html)
    assert marks.inline == [] and all(source.startswith("/static/") for source in marks.sources)
    for row in dispatch.operations():
        assert f'id="{row.name}"' in html
    for name in KINDS:
        assert f'id="problem-{name}"' in html


@pytest.mark.django_db
def test_the_document_is_openapi_and_names_every_operation():
    document = Client().get("/api/v1/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    named = {described["operationId"] for methods in document["paths"].values() for described in methods.values()}
    assert named == {row.name for row in dispatch.operations()}
