"""Events: written with their cause, signed, sent until they are taken, and never to where they should not go."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.core import mail
from django.db import connection, transaction
from django.utils import timezone
from django_tasks_db.models import DBTaskResult
from testing.factories import make_order, make_variant
from testing.money import make_paid, together
from testing.receiver import make_certificate

from pasargad.catalog.models import Variant
from pasargad.catalog.services import product_publish
from pasargad.catalog.stock import stock_move
from pasargad.faults import KILLED
from pasargad.flags.rules import Rule
from pasargad.flags.services import flag_set
from pasargad.orders.models import Order, Status
from pasargad.orders.returns import Arrived, Wish, return_accept, return_receive, return_request
from pasargad.orders.services import order_cancel, order_lock, order_move
from pasargad.payments.gateway import Sent
from pasargad.payments.refunds import order_refund, refund_settle
from pasargad.webhooks import services, signing, transport
from pasargad.webhooks.kinds import Kind
from pasargad.webhooks.models import Attempt, Delivery, Endpoint, Event
from pasargad.webhooks.services import deliveries_send_due, delivery_send, endpoint_create

APP = Path(__file__).resolve().parents[3]


def make_due() -> None:
    Delivery.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))


def kinds() -> list[str]:
    return list(Event.objects.order_by("pk").values_list("kind", flat=True))


def verify(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """Verify a message as the specification of Standard Webhooks says, with none of our code."""
    key = base64.b64decode(secret.split("_", 1)[1])
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    right = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return right in headers["webhook-signature"].split(" ")


def refunded(refund, status: str = "succeeded") -> None:
    sent = Sent(
        f"re_{refund.pk}", status, refund.amount_minor, "usd", refund.attempt.intent_id, refund.idempotency_key, ""
    )
    refund_settle(sent, actor="test")


@pytest.mark.django_db
def test_the_life_of_orders_is_told(endpoint):
    variant = make_variant(stock=7)
    Event.objects.all().delete()
    attempt = make_paid(make_order((variant, 2)))
    order = attempt.order
    assert kinds() == [Kind.STOCK_LOW, Kind.ORDER_PAID], "five are left, and five is the threshold"
    low = Event.objects.get(kind=Kind.STOCK_LOW).body["data"]
    assert (low["sku"], low["on_hand"], low["threshold"]) == (variant.sku, 5, 5)

    refunded(order_refund(order.pk, 100, "A scratch.", actor="test"))
    part = Event.objects.filter(kind=Kind.ORDER_REFUNDED).get().body["data"]
    assert (part["amount_minor"], part["refunded_minor"], part["status"]) == (100, 100, "paid")
    order_move(order_lock(order.pk), Status.SHIPPED, actor="test")
    request = return_request(order.pk, Wish({order.lines.get().pk: 1}, "unwanted"), key="c" * 32)
    return_accept(request.pk, actor="test")
    return_receive(request.pk, {request.lines.get().pk: Arrived(restock=1)}, actor="test")
    refunded(order_refund(order.pk, attempt.received_minor - 100, "All.", actor="test"))
    order_cancel(order_lock(make_order((variant, 1)).pk), actor="test")
    assert kinds()[2:] == [
        Kind.ORDER_REFUNDED, Kind.ORDER_SHIPPED, Kind.ORDER_RETURNED, Kind.ORDER_REFUNDED, Kind.ORDER_CANCELLED,
    ]  # fmt: skip
    told = json.dumps(list(Event.objects.values_list("body", flat=True)))
    for private in (order.email, order.name, order.token, order.street):
        assert private not in told


@pytest.mark.django_db
def test_products_and_stock_are_told_once(endpoint):
    variant = make_variant(stock=7)
    Event.objects.all().delete()
    product_publish(variant.product)
    assert kinds() == [Kind.PRODUCT_CHANGED]
    stock_move(variant.pk, -1, kind="corrected")
    assert Kind.STOCK_LOW not in kinds()
    stock_move(variant.pk, -1, kind="corrected")
    stock_move(variant.pk, -1, kind="corrected")
    stock_move(variant.pk, 9, kind="received")
    assert kinds().count(Kind.STOCK_LOW) == 1, "at the threshold, not again below it, and not on the way up"
    Variant.objects.update(low_stock_from=12)
    stock_move(variant.pk, -1, kind="corrected")
    assert kinds().count(Kind.STOCK_LOW) == 2, "an article may have a threshold of its own"


@pytest.mark.django_db
def test_only_what_is_wanted_is_written(outside_program, django_assert_num_queries):
    with django_assert_num_queries(1):
        assert services.event_emit(Kind.ORDER_PAID, dict) is None
    endpoint_create(name="a", url=outside_program.url, events=[Kind.STOCK_LOW])
    endpoint_create(name="b", url=outside_program.url, events=[Kind.ORDER_PAID], is_enabled=False)
    make_paid()
    assert not Event.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_an_event_is_there_if_and_only_if_its_cause_is(endpoint):
    class Undone(Exception):
        pass

    order = make_order()
    with pytest.raises(Undone), transaction.atomic():
        order_cancel(order_lock(order.pk), actor="test")
        assert Event.objects.filter(kind=Kind.ORDER_CANCELLED).exists()
        raise Undone
    assert not Event.objects.filter(kind=Kind.ORDER_CANCELLED).exists()
    with pytest.raises(transaction.TransactionManagementError):
        services.event_emit(Kind.ORDER_PAID, dict)
    before = DBTaskResult.objects.filter(task_path__endswith="delivery_send_task").count()
    with transaction.atomic():
        order_cancel(order_lock(order.pk), actor="test")
    assert Event.objects.filter(kind=Kind.ORDER_CANCELLED).count() == 1
    assert DBTaskResult.objects.filter(task_path__endswith="delivery_send_task").count() == before + 1


@pytest.mark.django_db
def test_a_message_is_signed_as_the_standard_says(endpoint, outside_program):
    make_paid()
    assert deliveries_send_due() > 0
    [(headers, body)] = [taken for taken in outside_program.taken if b"order.paid" in taken[1]]
    event = Event.objects.get(kind=Kind.ORDER_PAID)
    assert json.loads(body) == event.body and headers["webhook-id"] == event.message_id
    assert headers["content-type"] == "application/json"
    assert verify(endpoint.secret, headers, body)
    assert not verify(endpoint.secret, headers, body + b" ")
    assert not verify(endpoint.secret, {**headers, "webhook-timestamp": "1"}, body)
    assert not Delivery.objects.exclude(state="delivered").exists()


def test_the_example_of_the_specification():
    secret, message = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek"
    found = signing.signature(secret, message_id=message, timestamp=1614265330, body=b'{"test": 2432232314}')
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.django_db
def test_both_secrets_sign_while_one_replaces_the_other(endpoint, outside_program):
    fresh = services.secret_rotate(endpoint.pk)
    make_paid()
    deliveries_send_due()
    headers, body = outside_program.taken[-1]
    assert verify(fresh, headers, body) and verify(endpoint.secret, headers, body)
    Endpoint.objects.update(former_until=timezone.now())
    services.redeliver(Delivery.objects.values_list("pk", flat=True))
    deliveries_send_due()
    headers, body = outside_program.taken[-1]
    assert verify(fresh, headers, body) and not verify(endpoint.secret, headers, body)


@pytest.mark.django_db
def test_what_is_not_taken_is_sent_again_later_and_later(endpoint, outside_program):
    make_paid()
    delivery = Delivery.objects.get(event__kind=Kind.ORDER_PAID)
    Delivery.objects.exclude(pk=delivery.pk).delete()
    outside_program.statuses = [500, 301, 404]
    waits = []
    for _ in range(3):
        make_due()
        assert not delivery_send(delivery.pk, sweeping=True)
        assert not delivery_send(delivery.pk, sweeping=True), "not before it is due"
        delivery.refresh_from_db()
        waits.append((delivery.next_attempt_at - timezone.now()).total_seconds())
    assert all(29 < wait < 51 for wait in waits)
    assert [row.status for row in Attempt.objects.order_by("pk")] == [500, 301, 404]
    assert len(outside_program.taken) == 3, "a redirect was not followed"
    endpoint.refresh_from_db()
    assert endpoint.failing_since is not None
    make_due()
    assert delivery_send(delivery.pk, sweeping=True)
    assert len({headers["webhook-id"] for headers, _body in outside_program.taken}) == 1
    endpoint.refresh_from_db()
    delivery.refresh_from_db()
    assert (endpoint.failing_since, delivery.state) == (None, "delivered")


def test_waits_double_to_a_quarter_of_a_day_and_are_spread():
    middles = [10 * 2**n for n in range(12)]
    for attempts, middle in enumerate(middles, 1):
        found = [services.wait_after(attempts).total_seconds() for _ in range(50)]
        low = max(0.75 * middle, 30)
        assert all(low <= wait <= max(1.25 * middle, 30) for wait in found)
    assert services.wait_after(500).total_seconds() <= 1.25 * services.LONGEST_WAIT
    assert len({services.wait_after(9) for _ in range(20)}) > 15


@pytest.mark.django_db
def test_an_endpoint_that_takes_nothing_for_days_is_disabled_and_staff_are_told(endpoint, outside_program):
    make_paid()
    outside_program.statuses = [500] * 10
    Endpoint.objects.update(failing_since=timezone.now() - services.DISABLED_AFTER - timedelta(hours=1))
    deliveries_send_due()
    endpoint.refresh_from_db()
    assert not endpoint.is_enabled and "500" in endpoint.disabled_reason and endpoint.staff_told_at
    [message] = mail.outbox
    assert "till" in message.subject and endpoint.secret not in message.body
    sent = len(outside_program.taken)
    make_due()
    assert deliveries_send_due() == 0 and len(outside_program.taken) == sent and len(mail.outbox) == 1
    outside_program.statuses = []
    services.endpoint_enable(endpoint.pk)
    assert deliveries_send_due() > 0, "what waited is sent"


@pytest.mark.django_db
def test_an_endpoint_that_is_gone_is_disabled_at_once_and_a_mail_that_fails_is_sent_again(
    endpoint, outside_program, monkeypatch
):
    make_paid()
    outside_program.statuses = [410]

    def fails(*args, **kwargs):
        raise ConnectionRefusedError

    with monkeypatch.context() as patch:
        patch.setattr(services, "mail_admins", fails)
        deliveries_send_due()
    endpoint.refresh_from_db()
    assert not endpoint.is_enabled and endpoint.staff_told_at is None
    deliveries_send_due()
    assert len(mail.outbox) == 1


@pytest.mark.django_db
def test_one_that_fails_holds_up_no_other(endpoint, outside_program):
    other = endpoint_create(name="other", url="https://no-such-name.invalid/", events=Kind.values)
    make_paid()
    assert deliveries_send_due() == Delivery.objects.filter(endpoint=endpoint).count()
    assert Attempt.objects.filter(delivery__endpoint=other).count() == 1, "one try in a sweep"


@pytest.mark.django_db
def test_no_worker_waits_at_every_event_for_an_endpoint_that_is_known_to_fail(endpoint, outside_program):
    make_paid()
    first, second, *rest = Delivery.objects.order_by("pk").values_list("pk", flat=True)
    outside_program.statuses = [500]
    assert not delivery_send(first)
    assert not any(delivery_send(pk) for pk in (second, *rest)), "the tasks of what came meanwhile"
    assert Attempt.objects.count() == 1
    assert deliveries_send_due() == 1, "the sweep tries one, and it is taken"
    endpoint.refresh_from_db()
    assert endpoint.failing_since is None
    make_due()
    assert deliveries_send_due() == 1 + len(rest), "so the next sweep sends what is left"


@pytest.mark.django_db
def test_the_many_of_one_that_fails_do_not_hide_the_few_of_another(endpoint, outside_program):
    for _ in range(3):
        make_paid()
    Delivery.objects.update(next_attempt_at=timezone.now() - timedelta(hours=1))
    Endpoint.objects.update(failing_since=timezone.now())
    well = endpoint_create(name="well", url=outside_program.url, events=[Kind.ORDER_CANCELLED])
    order_cancel(order_lock(make_order().pk), actor="test")
    assert Delivery.objects.filter(endpoint=endpoint, state="pending").count() > 5
    outside_program.statuses = [200, 500]
    assert deliveries_send_due(limit=2) == 1
    assert Delivery.objects.get(endpoint=well).state == "delivered"
    assert [row.status for row in Attempt.objects.filter(delivery__endpoint=endpoint)] == [500], "one try in a sweep"


@pytest.mark.django_db
def test_after_many_tries_a_message_is_given_up_and_staff_can_send_it_again(endpoint, outside_program, admin_client):
    make_paid()
    delivery = Delivery.objects.get(event__kind=Kind.ORDER_PAID)
    outside_program.statuses = [500]
    Delivery.objects.filter(pk=delivery.pk).update(attempts=services.MOST_ATTEMPTS - 1)
    delivery_send(delivery.pk)
    delivery.refresh_from_db()
    assert delivery.state == "given_up"
    page = "/admin/webhooks/delivery/"
    admin_client.post(page, {"action": "again", "_selected_action": [delivery.pk]})
    assert delivery_send(delivery.pk, sweeping=True)
    assert admin_client.get(f"{page}{delivery.pk}/change/").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_two_workers_do_not_send_the_same_thing(endpoint, outside_program):
    make_paid()
    [delivery] = Delivery.objects.filter(event__kind=Kind.ORDER_PAID)
    assert together(lambda: delivery_send(delivery.pk)) == []
    assert len(outside_program.taken) == 1


@pytest.mark.django_db
def test_nothing_is_sent_while_it_is_switched_off(endpoint, outside_program, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        flag_set("webhooks", Rule(is_on=False), actor="test")
    make_paid()
    assert deliveries_send_due() == 0 and outside_program.taken == []
    with django_capture_on_commit_callbacks(execute=True):
        flag_set("webhooks", Rule(is_on=True), actor="test")
    assert deliveries_send_due() > 0


@pytest.mark.django_db
def test_the_log_is_kept_for_a_month_and_what_waits_for_longer(endpoint, outside_program):
    make_paid()
    deliveries_send_due()
    make_order_cancelled()
    assert services.log_prune() == 0
    Event.objects.update(at=timezone.now() - timedelta(days=31))
    services.log_prune()
    assert kinds() == [Kind.ORDER_CANCELLED]


def make_order_cancelled() -> None:
    order = make_order()
    Event.objects.filter(deliveries__state="pending").delete()
    order_cancel(order_lock(order.pk), actor="test")


PRIVATE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.1", "224.0.0.1",
    "255.255.255.255", "192.0.2.1", "198.18.0.1", "240.0.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:7f00:1::", "ff02::1",
    "2001:db8::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_no_address_of_ours_is_public(address):
    assert not transport.is_public(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8"])
def test_addresses_of_others_are_public(address):
    assert transport.is_public(address)


@pytest.mark.parametrize(
    "url",
    ["http://hooks.example/", "https://user:pass@hooks.example/", "https://", "https://hooks.example/#x", "ftp://x/",
     "https://hooks.example:99999/", "https://hooks.example/a b", "https://hooks.example/\nX: y", "https://höoks.example/"],
)  # fmt: skip
def test_addresses_that_are_never_sent_to(url):
    with pytest.raises(transport.Forbidden):
        transport.parts_of(url)
    assert transport.post(url, b"{}", {}).status == 0


def test_a_name_that_leads_to_us_is_refused_at_delivery(monkeypatch):
    connected = []
    monkeypatch.setattr(transport.socket, "create_connection", lambda *args: connected.append(args))
    for addresses in (["127.0.0.1"], ["93.184.216.34", "10.0.0.1"]):
        rows = [(2, 1, 6, "", (address, 443)) for address in addresses]
        monkeypatch.setattr(transport.socket, "getaddrinfo", lambda *args, rows=rows, **kwargs: rows)
        found = transport.post("https://hooks.example/", b"{}", {})
        assert found.status == 0 and "public internet" in found.error
    for url in ("https://127.0.0.1/", "https://2130706433/", "https://[::1]/", "https://localhost/"):
        monkeypatch.undo()
        monkeypatch.setattr(transport.socket, "create_connection", lambda *args: connected.append(args))
        assert transport.post(url, b"{}", {}).status == 0
    assert connected == []


def test_a_name_is_looked_up_once_and_that_address_is_used(outside_program, monkeypatch):
    """Its owner may answer differently the second time: there is none."""
    real, asked = transport.socket.getaddrinfo, []

    def lookup(host, *args, **kwargs):
        asked.append(host)
        return real(host, *args, **kwargs)

    monkeypatch.setattr(transport.socket, "getaddrinfo", lookup)
    assert transport.post(outside_program.url, b"{}", {}).accepted
    assert [host for host in asked if host == "hooks.example"] == ["hooks.example"]


def test_a_wrong_certificate_is_not_talked_to(outside_program, tmp_path, monkeypatch):
    monkeypatch.setattr(transport, "tls_context", transport.ssl.create_default_context)
    assert "CERTIFICATE_VERIFY_FAILED" in transport.post(outside_program.url, b"{}", {}).error
    assert outside_program.taken == []


def test_somebody_slow_does_not_hold_a_worker(outside_program, monkeypatch):
    import socket
    import threading

    listener = socket.create_server(("127.0.0.1", 0))
    held = []
    threading.Thread(target=lambda: held.append(listener.accept()), daemon=True).start()
    monkeypatch.setattr(transport, "TOTAL_SECONDS", 0.5)
    found = transport.post(f"https://hooks.example:{listener.getsockname()[1]}/", b"{}", {})
    listener.close()
    assert found.status == 0 and 400 < found.took_ms < 5000


@pytest.mark.django_db
def test_staff_set_up_endpoints_and_see_secrets_once(admin_client, outside_program):
    page = "/admin/webhooks/endpoint/"
    for url in ("http://hooks.example/", "https://10.0.0.1/"):
        assert admin_client.post(f"{page}add/", {"name": "x", "url": url, "events": ["order.paid"]}).status_code == 200
    assert not Endpoint.objects.exists()
    values = {"name": "till", "url": outside_program.url, "events": ["order.paid"]}
    shown = admin_client.post(f"{page}add/", values, follow=True).content.decode()
    row = Endpoint.objects.get()
    assert row.secret in shown.replace("&#x3D;", "=").replace("&#x2B;", "+")
    assert row.secret not in admin_client.get(f"{page}{row.pk}/change/").content.decode()
    admin_client.post(f"{page}{row.pk}/change/", {**values, "name": "new till"})
    row.refresh_from_db()
    assert row.name == "new till" and row.secret
    for action in ("disable", "enable", "rotate"):
        admin_client.post(page, {"action": action, "_selected_action": [row.pk]})
    former = row.secret
    row.refresh_from_db()
    assert row.is_enabled and row.former_secret == former != row.secret


LIFE = """
import os, sys, django
sys.path.insert(0, os.environ["PYTHONPATH"])
django.setup()
from testing.factories import make_order
from pasargad.orders.services import order_cancel, order_lock
from django.db import transaction
from pasargad.webhooks import services, transport
transport.post = lambda url, body, headers: transport.Result(200, "", 1)
order = make_order()
with transaction.atomic():
    order_cancel(order_lock(order.pk), actor="test")
services.deliveries_send_due()
"""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("point", "events"),
    [("webhooks.event.written", 0), ("webhooks.delivery.booked", 1), ("webhooks.delivery.sent", 1)],
)
def test_a_process_that_dies_between_cause_and_delivery_loses_nothing(endpoint, outside_program, point, events):
    Endpoint.objects.update(events=[Kind.ORDER_CANCELLED])
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "config.settings.test",
        "PYTHONPATH": str(APP),
        "DB_NAME": str(connection.settings_dict["NAME"]),
        "PASARGAD_FAULT": point,
    }
    ended = subprocess.run(
        [sys.executable, "-c", LIFE], cwd=APP, env=environment, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == KILLED, ended.stderr
    cancelled = Order.objects.filter(status="cancelled").count()
    assert cancelled == Event.objects.count() == events, "the event is there exactly if its cause is"
    make_due()
    deliveries_send_due()
    assert len(outside_program.taken) == events
    assert not Delivery.objects.exclude(state="delivered").exists()


def test_a_certificate_of_another_name_is_refused(outside_program, tmp_path, monkeypatch):
    folder = tmp_path / "other"
    folder.mkdir()
    make_certificate(folder, "other.example")
    url = outside_program.url.replace("hooks.example", "localhost")
    assert "CERTIFICATE_VERIFY_FAILED" in transport.post(url, b"{}", {}).error
