"""Who ordered without an account has the same rights; staff see to them with two commands."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from django.core.management import CommandError, call_command
from testing.factories import BUYER, make_order
from testing.people import make_user

from pasargad.audit.models import Entry
from pasargad.books.oracles import check
from pasargad.cart.models import Cart
from pasargad.cart.services import cart_create
from pasargad.notifications.models import Mail
from pasargad.notifications.services import mail_queue
from pasargad.orders.models import ERASED_EMAIL, Order, Status
from pasargad.reviews.models import Review
from pasargad.wishlist.models import Wishlist
from pasargad.wishlist.services import wishlist_create

pytestmark = pytest.mark.django_db
ERASED = "erased a guest"


def bought(email: str = "ada@example.org", status: str = Status.DELIVERED) -> Order:
    order = make_order(buyer=replace(BUYER, email=email, note="Ring twice"))
    Order.objects.filter(pk=order.pk).update(status=status)
    mail_queue("order_delivered", key=str(order.pk), recipient=email)
    order.refresh_from_db()
    return order


def erase(email: str) -> str:
    out = io.StringIO()
    call_command("erase_guest", email, stdout=out)
    return out.getvalue()


def export(email: str) -> dict:
    out = io.StringIO()
    call_command("export_guest", email, stdout=out)
    return json.loads(out.getvalue())


def test_a_guest_is_forgotten_and_nobody_else():
    mine, again = bought(), bought("ADA@example.org")
    product = mine.lines.get().variant.product
    Review.objects.create(product=product, order=mine, buyer="d" * 64, author="Ada L.", rating=5, text="Good")
    mail_queue("account_unknown", key="address-1f", recipient="ada@example.org")
    theirs, account = bought("bob@example.org"), bought()
    owner = make_user("eve@example.org")
    Order.objects.filter(pk=account.pk).update(user=owner, email="eve@example.org")
    Mail.objects.filter(key=str(account.pk)).update(recipient="eve@example.org")
    cart, wishes, books = cart_create(), wishlist_create(), sorted(map(str, check()))

    assert erase(" Ada@example.org ").startswith("2 orders")
    for order in (mine, again):
        sums = order.total_minor, order.country
        order.refresh_from_db()
        assert (order.email, order.name, order.note) == (ERASED_EMAIL, "-", "")
        assert (order.total_minor, order.country) == sums
    theirs.refresh_from_db()
    account.refresh_from_db()
    assert (theirs.name, account.name) == ("Ada Lovelace", "Ada Lovelace")
    assert set(Mail.objects.values_list("key", flat=True)) == {str(theirs.pk), str(account.pk)}
    assert not Review.objects.exists() and Cart.objects.get(pk=cart.pk) and Wishlist.objects.get(pk=wishes.pk)
    assert sorted(map(str, check())) == books


def test_the_audit_log_says_which_orders_and_not_whose():
    order = bought()
    erase("ada@example.org")
    entry = Entry.objects.get(action=ERASED)
    assert entry.actor.startswith("command of ")
    assert entry.changes == {"orders": [[order.number], None]}
    assert "ada" not in json.dumps([entry.changes, entry.target, entry.target_id])


def test_the_file_holds_what_is_kept_of_a_guest_and_nothing_of_others():
    mine, theirs = bought(), bought("bob@example.org")
    cart_create()
    wishlist_create()
    found = export("ada@example.org")
    assert found["guest"] == "ada@example.org"
    assert [row["number"] for row in found["data"]["orders.Order"]] == [mine.number]
    assert {"notifications.Mail", "orders.OrderLine"} <= found["data"].keys()
    assert not {"cart.Cart", "wishlist.Wishlist", "accounts.User"} & found["data"].keys()
    assert theirs.number not in json.dumps(found) and mine.token not in json.dumps(found)


@pytest.mark.parametrize("command", ["erase_guest", "export_guest"])
def test_an_account_s_owner_does_it_in_the_account(command):
    bought()
    make_user()
    with pytest.raises(CommandError, match="belongs to an account"):
        call_command(command, "ADA@example.org")
    assert Order.objects.get().name == "Ada Lovelace"


def test_who_merely_claims_the_address_is_in_nobody_s_way():
    bought()
    make_user(verified=False)
    assert erase("ada@example.org").startswith("1 orders")


@pytest.mark.parametrize("email", ["nobody@example.org", ERASED_EMAIL, ""])
def test_where_there_is_nothing_it_says_so(email):
    bought()
    erase("ada@example.org")
    for command in ("erase_guest", "export_guest"):
        with pytest.raises(CommandError, match="Nothing is kept"):
            call_command(command, email)


def test_nothing_is_erased_while_an_order_is_under_way():
    order = bought(status=Status.SHIPPED)
    bought()
    with pytest.raises(CommandError, match=order.number):
        erase("ada@example.org")
    assert set(Order.objects.values_list("name", flat=True)) == {"Ada Lovelace"}
    assert not Entry.objects.filter(action=ERASED).exists()
