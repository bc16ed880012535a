"""What pages and the checkout cost inside the shop's own process, and a catalogue of any size to measure them with.

The code here runs on the store host by `pasargad-ops manage shell`, without the proxy and the network.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

from tests.checkout.buyers import ADDRESS, fields_of
from tests.shop import REPOSITORY, Shop
from tests.shop_load import query

FILL_SECONDS = 1500
CLIENT = """
import json, re, statistics, time
from html import unescape
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
host = settings.ALLOWED_HOSTS[0]
client = Client(headers={'host': host, 'x-forwarded-proto': 'https', 'origin': 'https://' + host})
"""
# SQL statements, CPU and wall milliseconds of one uncached page; of the times the median over many requests. A loop
# that always does the same, timed between them, tells how fast the machine was meanwhile.
PAGES = """
costs = {}
for name, path in json.loads(%r).items():
    for _ in range(5):
        assert client.get(path).status_code == 200, path
    with CaptureQueriesContext(connection) as queries:
        client.get(path)
    # Counted at once: the next request empties the log.
    sql = len(queries)
    cpu, wall, loop = [], [], []
    for _ in range(60):
        began, at = time.process_time(), time.perf_counter()
        client.get(path)
        cpu.append((time.process_time() - began) * 1000)
        wall.append((time.perf_counter() - at) * 1000)
        began = time.process_time()
        sum(number * number for number in range(20_000))
        loop.append((time.process_time() - began) * 1000)
    named = {'cpu_ms': cpu, 'ms': wall, 'loop_ms': loop}
    costs[name] = {'sql': sql, **{kind: round(statistics.median(times), 2) for kind, times in named.items()}}
print(json.dumps(costs))
"""
# A cart with three variants is bought. Savepoints are not counted: they read and write no row.
CHECKOUT = """
from pasargad.storefront.views import checkout as view
def statements(queries):
    return [query['sql'] for query in queries if 'SAVEPOINT' not in query['sql']]
real, placed = view.order_place, []
def counted(*args, **values):
    with CaptureQueriesContext(connection) as queries:
        order = real(*args, **values)
    placed.extend(statements(queries))
    return order
view.order_place = counted
for sku in json.loads(%r):
    answer = client.post('/cart/add/', {'variant': sku, 'quantity': '1'})
    assert answer.status_code == 303, (sku, answer.status_code)
form = fields_of(client.get('/checkout/').content.decode(), 'idempotency_key')
form |= {'email': 'bench@example.com', **json.loads(%r)}
with CaptureQueriesContext(connection) as queries:
    answer = client.post('/checkout/', form)
assert answer.status_code == 303, (answer.status_code, answer.content.decode()[:2000])
print(json.dumps({'place': len(placed), 'request': len(statements(queries))}))
"""
FILL = """
from pasargad.catalog.models import Category, Product
shelves = Category.objects.filter(pk__in=Product.objects.values('category'))
make_many(%d - Product.objects.count(), *shelves)
"""
THREE_FOR_SALE = """
SELECT v.sku FROM catalog_variant v JOIN catalog_product p ON p.id = v.product_id
WHERE p.state = 'published' AND v.is_active AND (v.made_to_order OR v.on_hand - v.reserved >= 5)
ORDER BY v.made_to_order DESC, v.id LIMIT 3
"""


def in_the_shop(shop: Shop, code: str, *, seconds: float = 300) -> str:
    """Run code in the serving release's own Python; returns the last line it printed."""
    quoted = code.replace("'", "'\\''")
    output = shop.on("store1", f"pasargad-ops manage shell -c '{quoted}'", timeout=seconds).require().output
    return (output.strip().splitlines() or [""])[-1]


def page_costs(shop: Shop, pages: dict[str, str]) -> dict[str, dict[str, float]]:
    """Return `sql`, `cpu_ms`, `ms` and the machine's `loop_ms` of each page."""
    costs: dict[str, dict[str, float]] = json.loads(in_the_shop(shop, CLIENT + PAGES % json.dumps(pages)))
    return costs


def checkout_costs(shop: Shop) -> dict[str, int]:
    """Return the SQL statements of placing an order of three lines, and those of the whole request around it."""
    skus = [sku for (sku,) in query(shop, THREE_FOR_SALE)]
    code = CLIENT + "class NotServed(Exception): pass\n" + inspect.getsource(fields_of)
    costs: dict[str, Any] = json.loads(in_the_shop(shop, code + CHECKOUT % (json.dumps(skus), json.dumps(ADDRESS))))
    return costs


def fill_catalogue(shop: Shop, count: int) -> int:
    """Publish made-up products until the shop has so many, and let the database look at them; returns how many."""
    maker = Path(REPOSITORY / "app/testing/many.py").read_text().replace("from __future__ import annotations\n", "")
    in_the_shop(shop, maker + FILL % count, seconds=FILL_SECONDS)
    shop.on(
        "store1", "cd / && runuser -u postgres -- psql -Xq -d pasargad -c 'VACUUM ANALYZE'", timeout=FILL_SECONDS
    ).require()
    return int(query(shop, "SELECT count(*) FROM catalog_product WHERE state = 'published'")[0][0])
