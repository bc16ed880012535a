"""Load on a deployed shop: what shoppers ask for, and the generator as a process that a busy playbook cannot hide."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.shop import DOMAIN, REPOSITORY, Shop

START_SECONDS = 30.0
# Made to order: any number of carts may hold it, and none of them ever finds it sold out.
VARIANT = """
SELECT v.sku FROM catalog_variant v JOIN catalog_product p ON p.id = v.product_id
WHERE p.state = 'published' AND v.is_active AND (v.made_to_order OR v.on_hand - v.reserved >= 5)
ORDER BY v.made_to_order DESC, v.id LIMIT 1
"""


def query(shop: Shop, statement: str) -> list[list[str]]:
    """Return the rows of a statement as the database's own administrator sees them."""
    words = " ".join(statement.split()).replace("'", "'\\''")
    command = f"cd / && runuser -u postgres -- psql -XAt -F '|' -v ON_ERROR_STOP=1 -d pasargad -c '{words}'"
    output = shop.on("store1", command).require().output
    return [line.split("|") for line in output.splitlines() if line]


def pages(shop: Shop) -> list[str]:
    """Return the paths that the shop itself calls worth warming."""
    paths = shop.paths_to_warm()
    assert paths, "the shop names no page worth warming"
    return paths


def kinds(shop: Shop, *, clients: int) -> list[dict[str, Any]]:
    """Return the mix: half cached pages, a quarter that reach the shop, the rest carts, some by slow phones."""
    paths = pages(shop)
    rows = query(shop, VARIANT)
    assert rows, "no variant is for sale; fill the catalogue: pasargad-ops manage seed_demo"
    # A query string of its own misses the proxy's cache, so that pages reach the application.
    uncached = [["GET", f"{path}?load={number}", ""] for number in range(200) for path in paths[:5]]
    add = [["POST", "/cart/add/", f"variant={rows[0][0]}&quantity=1&note={'x' * 2000}"]]
    origin = {"Origin": f"https://{DOMAIN}", "Referer": f"https://{DOMAIN}/"}
    few = max(1, clients // 8)
    cached = [["GET", path, ""] for path in paths]
    return [
        {"name": "get", "clients": max(1, clients // 2), "requests": cached, "pause_seconds": 0.02},
        {"name": "get_uncached", "clients": max(1, clients // 4), "requests": uncached, "pause_seconds": 0.05},
        {"name": "post", "clients": few, "requests": add, "headers": origin, "pause_seconds": 0.05},
        {"name": "slow", "clients": few, "requests": add, "headers": origin, "slow": True},
    ]


class Load:
    """Constant load from entering the block to leaving it; `summary` holds the account afterwards."""

    def __init__(
        self, shop: Shop, directory: Path, mix: list[dict[str, Any]], *, authorities: Path | None = None
    ) -> None:
        self.timeline, self.summary = directory / "timeline.jsonl", dict[str, Any]()
        kinds_file = directory / "kinds.json"
        kinds_file.write_text(json.dumps(mix))
        self._command = [sys.executable, "-m", "tests.bench.load", "--address", shop.address, "--host", DOMAIN]
        self._command += ["--kinds", str(kinds_file), "--timeline", str(self.timeline)]
        self._command += ["--ca-file", str(authorities)] if authorities else []
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Load:
        self._process = subprocess.Popen(self._command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
        deadline = time.monotonic() + START_SECONDS
        while not any(second["answered"] for second in self.seconds()):
            assert self._process.poll() is None, "the load generator ended at once; its words are above"
            assert time.monotonic() < deadline, f"no request was answered within {START_SECONDS} s"
            time.sleep(0.2)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        output, _ = self._process.communicate(timeout=60)
        lines = output.splitlines()
        assert lines, f"the load generator ended with {self._process.returncode} and said nothing"
        self.summary = json.loads(lines[-1])

    def seconds(self) -> list[dict[str, int]]:
        """Return what was answered and lost, second by second, up to now."""
        return [json.loads(line) for line in self.timeline.read_text().splitlines()] if self.timeline.exists() else []
