"""The deployed shop as a laboratory of money: goods and coupons on order, time that passes, books that are compared."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.checkout.buyers import Buyer
from tests.shop import Shop
from tests.shop_load import query
from tests.web import Web

PAY = "https://pay.outside.test"
PROVIDER_FACTS = "python3 - <<'END'\n" + (Path(__file__).parent / "host_facts.py").read_text() + "END"
SETTLE_SECONDS = 150.0
# What workers wait for: the reconciler asks after a minute of silence, a poisoned key is given up after ten.
TIME_PASSES = """
UPDATE payments_paymentattempt SET updated_at = updated_at - interval '5 minutes'
    WHERE status IN ('created', 'pending', 'processing');
UPDATE payments_refund SET updated_at = now() - interval '20 minutes', created_at = created_at - interval '5 minutes'
    WHERE status = 'created'
"""
STOCK = """
from pasargad.catalog.models import Product, StockMovement, Variant
from pasargad.catalog.stock import stock_move
found = Product.objects.filter(state='published').order_by('id').first()
for number, pieces in enumerate({stocks}):
    made = Variant.objects.create(product=found, sku='{sku}-' + str(number), price_minor=1000, currency='usd',
                                  weight_grams=200, position=90)
    stock_move(made.pk, pieces, kind=StockMovement.Kind.RECEIVED)
"""
COUPON = """
from pasargad.promotions.models import Coupon, Promotion
made = Promotion.objects.create(name='Race', kind='percentage', basis_points=1000, per_customer_limit={each})
Coupon.objects.create(promotion=made, code='{code}', limit={limit})
"""
FIGURES = """
SELECT
  (SELECT coalesce(sum(greatest(0, sold - received)), 0) FROM (
     SELECT v.id, coalesce(sum(-m.quantity) FILTER (WHERE m.kind = 'sold'), 0) AS sold,
            coalesce(sum(m.quantity) FILTER (WHERE m.kind <> 'sold'), 0) AS received
     FROM catalog_variant v JOIN catalog_stockmovement m ON m.variant_id = v.id GROUP BY v.id) AS s)
  + (SELECT count(*) FROM catalog_variant WHERE on_hand < reserved OR on_hand < 0),
  (SELECT coalesce(sum(amount_minor), 0) FROM ledger_posting WHERE account = 'provider'),
  (SELECT count(*) FROM orders_order)
"""


@dataclass
class Figures:
    """What is left when all has settled; money in minor units."""

    orders: int = 0
    oversold: int = 0
    double_charged: int = 0
    lost_paid: int = 0
    ledger_difference_minor: int = 0
    findings: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> list[str]:
        names = ("oversold", "double_charged", "lost_paid", "ledger_difference_minor")
        return [f"{name}: {getattr(self, name)}" for name in names if getattr(self, name)] + self.findings


class MoneyLab:
    """A deployed shop with its provider; goods and coupons are made anew for each scenario."""

    def __init__(self, shop: Shop, web: Web, say: Callable[[str], None]) -> None:
        self.shop, self.web, self.say = shop, web, say

    def buyers(self, count: int) -> list[Buyer]:
        return [Buyer(self.web) for _ in range(count)]

    def rows(self, statement: str) -> list[list[str]]:
        return query(self.shop, statement)

    def alter(self, statement: str) -> None:
        """Change what the database itself guards."""
        self.rows(statement)

    def manage(self, *words: str, timeout: float = 180) -> str:
        return self.shop.on("store1", f"pasargad-ops manage {' '.join(words)}", timeout=timeout).output

    def python(self, code: str) -> str:
        quoted = code.replace("'", "'\\''")
        command = f"pasargad-ops manage shell -c '{quoted}'"
        return self.shop.on("store1", command, timeout=180).require().output.strip()

    def goods(self, *stocks: int) -> list[str]:
        """Make variants of which there are so many, and return their SKUs."""
        sku = f"RACE-{uuid.uuid4().hex[:8].upper()}"
        self.python(STOCK.format(stocks=stocks, sku=sku))
        return [f"{sku}-{number}" for number in range(len(stocks))]

    def coupon(self, *, limit: int | None, each: int | None = None) -> str:
        code = f"RACE{uuid.uuid4().hex[:8].upper()}"
        self.python(COUPON.format(code=code, limit=limit, each=each))
        return code

    def sold(self, sku: str) -> int:
        """Return how many pieces of a variant belong to orders that were paid."""
        statement = "SELECT coalesce(-sum(m.quantity), 0) FROM catalog_stockmovement m JOIN catalog_variant v"
        return int(self.rows(f"{statement} ON v.id = m.variant_id WHERE m.kind = 'sold' AND v.sku = '{sku}'")[0][0])

    def orders_of(self, *emails: str) -> list[list[str]]:
        """Return id, number, status and token of every order of these shoppers."""
        listed = ", ".join(f"'{email}'" for email in emails)
        return self.rows(f"SELECT id, number, status, token FROM orders_order WHERE email IN ({listed}) ORDER BY id")

    def control(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Use a lever of the provider."""
        sent = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        answer = self.web.ask(f"{PAY}/_control/{path}", method=method, headers=headers, body=sent)
        assert answer.status < 400, answer.text
        return answer.json()

    def provider(self) -> dict[str, Any]:
        """Return what the provider's own records say."""
        return json.loads(self.shop.on("outside", PROVIDER_FACTS).require().output.splitlines()[-1])

    def settle(self) -> Figures:
        """Let time pass and the workers work until the books have no finding; returns what is left."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            self.control("POST", "deliveries/due")
            for statement in TIME_PASSES.split(";"):
                self.rows(statement)
            self.manage("reconcile_payments")
            output = self.manage("verify_books", "--json", "--settled-seconds", "0", "--days", "1")
            told = json.loads(output.strip().splitlines()[-1])
            figures = self.figures()
            figures.findings = [f"{row['oracle']}: {row['subject']}: {row['text']}" for row in told["findings"]]
            quiet = not figures.wrong and told["provider_reached"] and not self.open_payments()
            if quiet or time.monotonic() > deadline:
                if not told["provider_reached"]:
                    figures.findings.append("the provider does not answer")
                return figures
            time.sleep(2)

    def open_payments(self) -> int:
        """Return what is still under way: refunds to be sent, and attempts of orders that are over."""
        rows = self.rows(
            """SELECT (SELECT count(*) FROM payments_refund WHERE status = 'created') + (
            SELECT count(*) FROM payments_paymentattempt a JOIN orders_order o ON o.id = a.order_id
            WHERE a.status IN ('created', 'pending', 'processing') AND o.status <> 'awaiting_payment')"""
        )
        return int(rows[0][0])

    def figures(self) -> Figures:
        """Compare the shop's books with the provider's records, with none of the shop's code."""
        oversold, ledger, orders = (int(value) for value in self.rows(FIGURES)[0])
        provider = self.provider()
        back: dict[str, int] = {}
        for item in provider["refunds"]:
            back[item["intent"]] = back.get(item["intent"], 0) + item["amount"]
        kept: dict[str, list[int]] = {}
        for intent in provider["intents"]:
            if intent["received"]:
                kept.setdefault(intent["order"], []).append(intent["received"] - back.get(intent["id"], 0))
        paid = {number for number, *_ in self.rows(
            "SELECT number FROM orders_order WHERE status IN ('paid', 'processing', 'ready_for_pickup', 'shipped', "
            "'delivered', 'refund_due', 'refunded')")}  # fmt: skip
        taken = sum(item["amount"] for item in provider["disputes"])
        pending = int(
            self.rows("SELECT coalesce(sum(amount_minor), 0) FROM payments_refund WHERE status = 'pending'")[0][0]
        )
        balance = sum(sum(rests) for rests in kept.values()) - taken + pending
        return Figures(
            orders=orders,
            oversold=oversold,
            double_charged=sum(1 for rests in kept.values() if sum(rest > 0 for rest in rests) > 1),
            lost_paid=sum(1 for number, rests in kept.items() if any(rests) and number not in paid),
            ledger_difference_minor=abs(ledger - balance),
        )

    @contextmanager
    def broken(self, file: str, *changes: tuple[str, str]) -> Iterator[None]:
        """Run the shop with a guard taken out of the release that serves, and put it back afterwards."""
        slot = str(self.shop.status()["active"])
        release = self.shop.on("store1", f"readlink -f /srv/pasargad/slots/{slot}").require().output.strip()
        path = f"{release}/app/pasargad/{file}"
        # A release is compiled when it is built, and its sources are not looked at any more.
        compiled = f"{Path(path).parent}/__pycache__/{Path(path).stem}.*.pyc"
        kept = f"/root/{uuid.uuid4().hex}"
        command = f"mkdir {kept} && cp -a {path} {kept}/source && cp -a {compiled} {kept}/ && cat {path}"
        text = self.shop.on("store1", command).require().output
        for old, new in changes:
            assert text.count(old) == 1, f"the guard is not where it was: {old}"
            text = text.replace(old, new)
        try:
            self.shop.on("store1", f"rm {compiled}; cat > {path} <<'PATCHED'\n{text}\nPATCHED").require()
            self.restart(slot)
            yield
        finally:
            back = f"cp -a {kept}/source {path}; cp -a {kept}/*.pyc {Path(path).parent}/__pycache__/; rm -r {kept}"
            self.shop.on("store1", back).require()
            self.restart(slot)

    def restart(self, slot: str) -> None:
        units = f"pasargad-web@{slot} pasargad-worker@{slot}"
        self.shop.on("store1", f"systemctl restart {units}").require()
        deadline = time.monotonic() + 60
        while self.web.shop(f"/cart/?fresh={uuid.uuid4().hex}").status != 200:
            assert time.monotonic() < deadline, "the shop did not come back"
            time.sleep(0.5)
