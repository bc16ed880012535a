"""kill -9 at any moment: what was acknowledged is there afterwards, what was owed is delivered."""

from __future__ import annotations

import threading
import time
from typing import Any

import stripe

from .catcher import Catcher
from .conftest import Service, connect

PAID: Any = {
    "amount": 4200,
    "currency": "usd",
    "payment_method_types": ["card"],
    "payment_method": "pm_card_visa",
    "confirm": True,
}


def test_kill_under_load_loses_nothing_acknowledged(provider: Service, catcher: Catcher) -> None:
    acknowledged: dict[str, str] = {}
    stop = threading.Event()

    def buy(buyer: int) -> None:
        client = connect(provider.url)
        for number in range(10_000):
            if stop.is_set():
                return
            key = f"{buyer}-{number}"
            try:
                acknowledged[key] = client.v1.payment_intents.create(PAID, {"idempotency_key": key}).id
            except stripe.APIConnectionError:
                time.sleep(0.05)

    buyers = [threading.Thread(target=buy, args=(number,)) for number in range(4)]
    for buyer in buyers:
        buyer.start()
    for _ in range(3):
        enough = len(acknowledged) + 10
        deadline = time.monotonic() + 20
        while len(acknowledged) < enough:
            assert time.monotonic() < deadline, "no payment was acknowledged"
            time.sleep(0.01)
        provider.kill()
        provider.start()
    stop.set()
    for buyer in buyers:
        buyer.join()
    assert len(acknowledged) >= 30
    client = connect(provider.url)
    kept = {intent.id: intent for intent in client.v1.payment_intents.list({"limit": 100}).auto_paging_iter()}
    assert set(acknowledged.values()) <= set(kept)
    assert all(intent.status == "succeeded" for intent in kept.values()), "no half payment"
    for key, identity in acknowledged.items():
        assert client.v1.payment_intents.create(PAID, {"idempotency_key": key}).id == identity
    charges = list(client.v1.charges.list({"limit": 100}).auto_paging_iter())
    assert sorted(charge.payment_intent for charge in charges) == sorted(kept)
    told = {"payment_intent.succeeded": set[str]()}

    def all_told() -> bool:
        told["payment_intent.succeeded"] = {
            caught.event["data"]["object"]["id"]
            for caught in list(catcher.caught)
            if caught.event["type"] == "payment_intent.succeeded"
        }
        return told["payment_intent.succeeded"] == set(kept)

    catcher.wait(all_told, 60)
