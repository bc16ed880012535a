"""Races of shoppers and staff against each other; each says in words what was not as it must be."""

from __future__ import annotations

import json
import random
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from threading import Thread
from typing import Any

from tests.checkout.buyers import SHOP, Buyer, NotServed, fields_of, together
from tests.checkout.lab import MoneyLab

REFUND = """
import threading, uuid
from django.db import connection
from pasargad.orders.models import Order
from pasargad.payments.exceptions import RefundRefused
from pasargad.payments.refunds import order_refund, refund_send
order, amount, barrier, results = Order.objects.get(number='{number}'), {amount}, threading.Barrier(10), []
def give():
    connection.ensure_connection()
    barrier.wait(20)
    try:
        refund_send(order_refund(order.pk, amount, 'A race.', actor='staff', key=uuid.uuid4().hex).pk)
        results.append('given')
    except RefundRefused:
        results.append('refused')
    except Exception as error:
        results.append(type(error).__name__)
    finally:
        connection.close()
threads = [threading.Thread(target=give) for _ in range(10)]
[thread.start() for thread in threads]; [thread.join(60) for thread in threads]
import json; print(json.dumps(results))
"""

EXPIRING_SECONDS = 4
EXPIRE = """
import time
from pasargad.payments.services import orders_expire
until = time.monotonic() + {seconds}
while time.monotonic() < until:
    orders_expire()
    time.sleep(0.02)
"""


def seen(buyers: list[Buyer], results: list[Any]) -> list[str]:
    """Return what shoppers should never see: server errors, and anything unforeseen."""
    trouble = Counter(word for buyer in buyers for word in buyer.trouble)
    strange = Counter(f"{type(each).__name__}: {each}" for each in results if isinstance(each, Exception)
                      and not isinstance(each, NotServed))  # fmt: skip
    return [f"{count} shoppers saw {word}" for word, count in (trouble + strange).items()]


def last_pieces(lab: MoneyLab, stock: int, shoppers: int = 50) -> list[str]:
    """So many shoppers at once want one piece each of a few: exactly the few are sold."""
    [sku] = lab.goods(stock)
    buyers = lab.buyers(shoppers)
    # All of them have it in their carts before anybody buys.
    filled = together(lambda buyer: buyer.fill_cart([(sku, 1)]), buyers)
    ready = [buyer for buyer, had in zip(buyers, filled, strict=True) if had is True]
    forms = together(lambda buyer: buyer.checkout_form(), ready)

    def press(buyer: Buyer, form: dict[str, str]) -> bool:
        answer = buyer.place(form)
        return answer.status == 303 and buyer.pay_from(answer.headers["location"])

    pairs = [(buyer, form) for buyer, form in zip(ready, forms, strict=True) if isinstance(form, dict)]
    results = together(lambda pair: press(*pair), pairs)
    paid, sold = sum(result is True for result in results), wait_sold(lab, sku, stock)
    wrong = seen(buyers, results)
    if len(pairs) < shoppers:
        wrong.append(f"only {len(pairs)} of {shoppers} came to the checkout")
    if (paid, sold) != (stock, stock):
        wrong.append(f"{paid} shoppers paid and {sold} pieces were sold of {stock}")
    return wrong


def wait_sold(lab: MoneyLab, sku: str, wanted: int) -> int:
    """Return how many pieces were sold, when the messages had time to come."""
    deadline = time.monotonic() + 20
    while (sold := lab.sold(sku)) < wanted and time.monotonic() < deadline:
        time.sleep(0.5)
    return sold


def opposite_orders(lab: MoneyLab, shoppers: int = 24) -> list[str]:
    """Carts with the same goods, put in in opposite orders, are bought at once: nobody waits for ever or is refused."""
    skus = lab.goods(*[shoppers * 2] * 4)
    buyers = lab.buyers(shoppers)
    carts = [[(sku, 1 + number % 2) for sku in (skus if number % 2 else skus[::-1])] for number in range(shoppers)]
    results = together(lambda pair: pair[0].buy(pair[1]), list(zip(buyers, carts, strict=True)))
    paid = sum(result is True for result in results)
    return seen(buyers, results) + ([f"only {paid} of {shoppers} could buy"] if paid != shoppers else [])


def coupon_limit(lab: MoneyLab, limit: int = 5, shoppers: int = 25) -> list[str]:
    """A coupon for a few is tried by many at once: the few get it, the others are told and may go on without."""
    [sku], code = lab.goods(shoppers), lab.coupon(limit=limit)
    buyers = lab.buyers(shoppers)
    together(lambda buyer: buyer.fill_cart([(sku, 1)], code), buyers)
    forms = together(lambda buyer: buyer.checkout_form(), buyers)
    pairs = [(buyer, form) for buyer, form in zip(buyers, forms, strict=True) if isinstance(form, dict)]
    results = together(lambda pair: pair[0].place(pair[1]).status, pairs)
    used = lab.rows(f"SELECT used FROM promotions_coupon WHERE code = '{code}'")[0][0]
    orders = lab.rows(f"SELECT count(*) FROM orders_order WHERE coupon_code = '{code}'")[0][0]
    told = Counter(results)
    wrong = seen(buyers, results)
    if (used, orders, told[303], told[422]) != (str(limit), str(limit), limit, shoppers - limit):
        wrong.append(f"limit {limit}: used {used}, orders {orders}, answers {dict(told)}")
    return wrong


def one_customer_once(lab: MoneyLab, shoppers: int = 12) -> list[str]:
    """One customer, in many browsers at once, uses a coupon that each may use once."""
    [sku], code = lab.goods(shoppers), lab.coupon(limit=None, each=1)
    buyers, email = lab.buyers(shoppers), f"race-{uuid.uuid4().hex[:8]}@example.com"
    for number, buyer in enumerate(buyers):
        buyer.email = email.replace("@", f"+{number}@")
    together(lambda buyer: buyer.fill_cart([(sku, 1)], code), buyers)
    forms = [buyer.checkout_form() for buyer in buyers]
    results = together(lambda pair: pair[0].place(pair[1]).status, list(zip(buyers, forms, strict=True)))
    orders = lab.rows(f"SELECT count(*) FROM orders_order WHERE coupon_code = '{code}'")[0][0]
    return seen(buyers, results) + ([f"{orders} orders of one customer have the coupon"] if orders != "1" else [])


def same_key(lab: MoneyLab, clients: int = 20) -> list[str]:
    """The button is pressed by so many at once, with the same form: one order, and everybody is led to it."""
    [sku] = lab.goods(clients)
    buyer = Buyer(lab.web)
    buyer.fill_cart([(sku, 1)])
    form = buyer.checkout_form()
    twins = [Buyer(lab.web, email=buyer.email, cookies=dict(buyer.cookies)) for _ in range(clients)]
    results = together(lambda twin: twin.place(form).headers.get("location", ""), twins)
    orders, places = lab.orders_of(buyer.email), Counter(map(str, results))
    wrong = seen(twins, results)
    if len(orders) != 1 or len(places) != 1:
        wrong.append(f"{len(orders)} orders, led to {dict(places)}")
    return wrong


def waiting_order(lab: MoneyLab, stock: int = 5) -> tuple[Buyer, str]:
    """Return a shopper with an order that waits, and the address of the provider's page."""
    [sku] = lab.goods(stock)
    buyer = Buyer(lab.web)
    buyer.fill_cart([(sku, 1)])
    location = buyer.place(buyer.checkout_form()).headers["location"]
    token = lab.orders_of(buyer.email)[0][3]
    buyer.order_page = f"{SHOP}/orders/{token}/"
    return buyer, location


def double_pay(lab: MoneyLab, clicks: int = 10) -> list[str]:
    """The shop's button and then the provider's are pressed many times at once: the order is paid once."""
    buyer, _ = waiting_order(lab)
    page, email = buyer.order_page, buyer.email
    # As if the first answer had been lost: nothing was started yet.
    twins = [Buyer(lab.web, email=email, cookies=dict(buyer.cookies)) for _ in range(clicks)]
    places = together(lambda twin: twin.ask(f"{page}pay/", {}).headers.get("location", ""), twins)
    wrong = seen(twins, places)
    if len(set(map(str, places))) != 1:
        wrong.append(f"led to {len(set(map(str, places)))} different payment pages")
    results = together(lambda twin: twin.pay_at(str(places[0])), twins)
    wrong += seen(twins, results)
    number = lab.orders_of(email)[0][1]
    charged = [each for each in lab.provider()["intents"] if each["order"] == number and each["received"]]
    return wrong + ([f"{len(charged)} payments of one order"] if len(charged) != 1 else [])


@dataclass(frozen=True)
class Open:
    """An order that waits, and the provider's form for it, filled in."""

    buyer: Buyer
    page: str
    form: dict[str, str]

    @classmethod
    def order(cls, lab: MoneyLab) -> Open:
        buyer, page = waiting_order(lab)
        return cls(buyer, page, fields_of(buyer.ask(page).text, "client_secret"))

    def pay(self) -> bool:
        return self.buyer.send_card(self.page, self.form)

    def cancel(self) -> int:
        twin = Buyer(self.buyer.web, cookies=dict(self.buyer.cookies))
        return twin.ask(f"{self.buyer.order_page}cancel/", {}).status


def cancel_against_pay(lab: MoneyLab, rounds: int = 12) -> list[str]:
    """The shopper pays in one tab and cancels in the other, at the same moment: paid, or cancelled and whole again."""
    waiting = [Open.order(lab) for _ in range(rounds)]

    def run(deed: Callable[[], Any]) -> Any:
        # Cancelling goes through the shop to the provider and takes the longer way.
        time.sleep(random.uniform(0, 3 if deed in paying else 1))
        return deed()

    paying = [each.pay for each in waiting]
    results = together(run, [*paying, *(each.cancel for each in waiting)])
    return ended(lab, waiting, results, "cancelled")


def expire_against_pay(lab: MoneyLab, rounds: int = 12) -> list[str]:
    """Orders run out of time at the moment in which they are paid: paid (their goods are there), or given up."""
    waiting = [Open.order(lab) for _ in range(rounds)]
    emails = ", ".join(f"'{each.buyer.email}'" for each in waiting)
    expiring = Thread(target=lab.python, args=(EXPIRE.format(seconds=EXPIRING_SECONDS + 8),))
    expiring.start()
    # So long a management command takes to begin.
    time.sleep(4)
    lab.rows(
        f"UPDATE orders_order SET expires_at = now() + random() * interval '{EXPIRING_SECONDS} seconds' "
        f"WHERE email IN ({emails})"
    )

    def run(each: Open) -> bool:
        time.sleep(random.uniform(0, EXPIRING_SECONDS))
        return each.pay()

    results = together(run, waiting)
    expiring.join(60)
    return ended(lab, waiting, results, "expired")


def ended(lab: MoneyLab, waiting: list[Open], results: list[Any], given_up: str) -> list[str]:
    """Say which orders are where none may be, and whether the race went both ways."""
    figures = lab.settle()
    states = Counter(state for _, _, state, _ in lab.orders_of(*[each.buyer.email for each in waiting]))
    lab.say(f"    ended: {dict(states)}")
    wrong = seen([each.buyer for each in waiting], results) + figures.wrong
    wrong += [
        f"{count} orders are {state}" for state, count in states.items() if state not in ("paid", "refunded", given_up)
    ]
    if len(states) < 2:
        wrong.append(f"the race went one way only: {dict(states)}")
    return wrong


def refund_against_refund(lab: MoneyLab) -> list[str]:
    """Ten members of staff give the whole money back at once: it goes back once."""
    buyer, location = waiting_order(lab)
    if not buyer.pay_at(location):
        return ["the order could not be paid"]
    number = lab.orders_of(buyer.email)[0][1]
    total = int(lab.rows(f"SELECT total_minor FROM orders_order WHERE number = '{number}'")[0][0])
    results = Counter(json.loads(lab.python(REFUND.format(number=number, amount=total)).splitlines()[-1]))
    return [] if results == {"given": 1, "refused": 9} else [f"ten refunds at once: {dict(results)}"]
