"""Each group can do its work and nothing else."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.urls import reverse
from testing.factories import make_order, make_variant
from testing.money import make_paid
from testing.staff import log_in, make_member

from pasargad.audit.models import Entry
from pasargad.catalog.models import StockMovement
from pasargad.orders.models import Order, Status
from pasargad.orders.returns import Wish, return_accept, return_request
from pasargad.reviews.services import review_write
from pasargad.shipments.models import Shipment
from pasargad.staff.groups import GROUPS
from pasargad.staff.services import groups_ensure

pytestmark = pytest.mark.django_db
ALL = tuple(GROUPS)


def test_the_groups_are_made_once_and_what_was_added_stays(capsys):
    groups_ensure()
    extra = Permission.objects.get(codename="delete_category")
    missing = Permission.objects.get(codename="change_order")
    packing = Group.objects.get(name="packing")
    packing.permissions.add(extra)
    packing.permissions.remove(missing)
    added = groups_ensure()
    assert added == {name: int(name == "packing") for name in GROUPS}
    assert set(packing.permissions.filter(pk__in=[extra.pk, missing.pk])) == {extra, missing}
    call_command("ensure_groups")
    assert "packing: unchanged" in capsys.readouterr().out


def test_nobody_in_a_group_decides_about_accounts_or_rights_or_changes_books():
    everything = set().union(*GROUPS.values())
    assert not {right for right in everything if right.startswith(("accounts.", "auth.", "admin."))}
    books = {"orders.order", "ledger.entry", "ledger.posting", "payments.paymentattempt", "audit.entry"}
    for right in everything:
        app, _, code = right.partition(".")
        verb, _, model = code.partition("_")
        assert f"{app}.{model}" not in books or verb in ("view", "export") or right == "orders.change_order"


def setting() -> tuple[Order, Order, Shipment]:
    """An order to pack with a parcel, and one that was not paid."""
    from pasargad.shipments.services import shipment_prepare

    paid = make_paid(make_order((make_variant(stock=9), 2))).order
    parcel = shipment_prepare(paid.pk, quantities={paid.lines.get().pk: 1})
    return paid, make_order((make_variant(), 1)), parcel


def pages() -> dict[str, tuple[str, set[str]]]:
    """Every page of the staff with the groups that may open it."""
    paid, unpaid, parcel = setting()
    order = lambda name, *more: reverse(f"admin:orders_order_{name}", args=[paid.pk, *more])  # noqa: E731
    return {
        "work page": (order("work"), set(ALL) - {"catalogue"}),
        "start": (order("step", "start"), {"packing", "manager"}),
        "pack": (order("step", "pack"), {"packing", "manager"}),
        "cancel": (reverse("admin:orders_order_step", args=[unpaid.pk, "cancel"]), {"support", "manager"}),
        "hand over": (order("parcel", parcel.pk, "send"), {"packing", "manager"}),
        "refund": (reverse("admin:payments_refund_order", args=[paid.pk]), {"finance", "manager"}),
        "picking": (f"{reverse('admin:orders_order_picking')}?orders={paid.pk}", set(ALL) - {"catalogue"}),
        "slips": (f"{reverse('admin:orders_order_slips')}?orders={paid.pk}", set(ALL) - {"catalogue"}),
        "stock": (reverse("admin:catalog_stockmovement_add"), {"packing", "catalogue", "manager"}),
        "new product": (reverse("admin:catalog_product_add"), {"catalogue", "manager"}),
        "new promotion": (reverse("admin:promotions_promotion_add"), {"catalogue", "manager"}),
        "reviews": (reverse("admin:reviews_review_changelist"), {"support", "catalogue", "manager"}),
        "ledger": (reverse("admin:ledger_entry_changelist"), {"finance", "manager"}),
        "refunds": (reverse("admin:payments_refund_changelist"), {"support", "finance", "manager"}),
        "tax": (reverse("admin:tax_taxzone_add"), {"finance", "manager"}),
        "shipping": (reverse("admin:shipping_shippingzone_add"), {"manager"}),
        "figures": (reverse("admin:figures"), {"finance", "manager"}),
        "audit": (reverse("admin:audit_entry_changelist"), {"manager"}),
        "accounts": (reverse("admin:accounts_user_changelist"), set()),
        "groups": (reverse("admin:auth_group_changelist"), set()),
        "tasks": (reverse("admin:django_tasks_database_dbtaskresult_changelist"), {"manager"}),
    }


@pytest.mark.parametrize("group", [*ALL, ""])
def test_a_group_opens_its_pages_and_no_others(client, group):
    log_in(client, *filter(None, [group]))
    got = {name: client.get(url).status_code for name, (url, _) in pages().items()}
    assert got == {name: 200 if group in may else 403 for name, (_, may) in pages().items()}


@pytest.mark.parametrize("group", [*ALL, ""])
def test_only_the_right_groups_can_act(client, group):
    """Each act is sent as a form would send it, also by those whom no page offers it."""
    paid, unpaid, parcel = setting()
    log_in(client, *filter(None, [group]))
    packs, serves = group in ("packing", "manager"), group in ("support", "manager")
    line = paid.lines.get().pk
    step = lambda order, name: reverse("admin:orders_order_step", args=[order.pk, name])  # noqa: E731
    acts = [
        (step(paid, "start"), {}, packs),
        (step(paid, "pack"), {f"pieces_{line}": "1", "carrier": "own"}, packs),
        (reverse("admin:orders_order_parcel", args=[paid.pk, parcel.pk, "send"]), {"tracking_number": "T1"}, packs),
        (step(unpaid, "cancel"), {}, serves),
    ]
    assert [client.post(url, data).status_code for url, data, _ in acts] == [303 if may else 403 for *_, may in acts]
    paid.refresh_from_db()
    unpaid.refresh_from_db()
    assert (paid.status == Status.PROCESSING) is packs and Shipment.objects.count() == 1 + packs
    assert (unpaid.status == Status.CANCELLED) is serves
    assert Entry.objects.filter(action="moved").exists() is packs


@pytest.mark.parametrize("group", [*ALL, ""])
def test_returns_are_answered_received_and_paid_by_different_people(client, group):
    order = make_paid(make_order((make_variant(stock=5), 2))).order
    Order.objects.filter(pk=order.pk).update(status=Status.SHIPPED)
    found = return_request(order.pk, Wish({order.lines.get().pk: 1}, "unwanted"), key="e" * 32)
    log_in(client, *filter(None, [group]))

    def may(name: str) -> bool:
        return client.get(reverse("admin:orders_return_step", args=[found.pk, name])).status_code != 403

    assert may("accept") is (group in ("support", "manager"))
    assert may("receive") is (group in ("packing", "support", "manager"))
    assert may("refund") is (group in ("finance", "manager"))
    return_accept(found.pk, actor="test")
    shown = client.get(reverse("admin:orders_returnrequest_change", args=[found.pk])).content.decode()
    assert ("step/receive/" in shown) is (group in ("packing", "support", "manager"))
    assert ("step/close/" in shown) is (group in ("support", "manager"))


@pytest.mark.parametrize("group", [*ALL, ""])
def test_reviews_and_stock_are_changed_by_those_whose_work_it_is(client, group):
    order = make_paid(make_order((variant := make_variant(stock=5), 1))).order
    Order.objects.filter(pk=order.pk).update(status=Status.DELIVERED)
    order.refresh_from_db()
    review = review_write(order=order, product_id=variant.product_id, rating=4, author="Ada")
    log_in(client, *filter(None, [group]))
    client.post(reverse("admin:reviews_review_changelist"), {"action": "approve", "_selected_action": [review.pk]})
    review.refresh_from_db()
    assert (review.status == "approved") is (group in ("support", "catalogue", "manager"))
    answer = client.post(reverse("admin:orders_order_review", args=[order.pk, review.pk, "reject"]))
    assert answer.status_code == (303 if group in ("support", "catalogue", "manager") else 403)
    client.post(
        reverse("admin:catalog_stockmovement_add"),
        {"variant": variant.pk, "kind": "corrected", "quantity": "-1", "note": "Broken"},
    )
    moved = StockMovement.objects.filter(kind="corrected").exists()
    assert moved is (group in ("packing", "catalogue", "manager"))


def test_a_member_of_nothing_finds_words_and_no_queue(client):
    log_in(client)
    page = client.get(reverse("admin:index")).content.decode()
    assert "No queue belongs to your group" in page and "queue-count" not in page


def test_two_groups_add_up():
    user = make_member("packing", "finance")
    assert user.has_perm("payments.add_refund") and user.has_perm("shipments.add_shipment")
    assert not user.has_perm("reviews.change_review")
