"""Run on the host `outside`: print what the payment provider's own records say, as one JSON line."""

from __future__ import annotations

import json
import sqlite3

RECORDS = "/var/lib/outside/payments.sqlite3"


def every(connection: sqlite3.Connection, kind: str) -> list[dict[str, object]]:
    rows = connection.execute("SELECT body FROM objects WHERE kind = ? ORDER BY seq", (kind,))
    return [json.loads(row[0]) for row in rows]


if __name__ == "__main__":
    connection = sqlite3.connect(f"file:{RECORDS}?mode=ro", uri=True, timeout=20)
    intents = [
        {
            "id": found["id"],
            "status": found["status"],
            "received": found["amount_received"],
            "order": found["metadata"].get("order", ""),  # type: ignore[attr-defined]
        }
        for found in every(connection, "payment_intent")
    ]
    refunds = [
        {"intent": found["payment_intent"], "amount": found["amount"]}
        for found in every(connection, "refund")
        if found["status"] in ("succeeded", "pending")
    ]
    taken = [
        {"intent": found["payment_intent"], "amount": found["amount"]}
        for found in every(connection, "dispute")
        if found["status"] != "won"
    ]
    pending = connection.execute("SELECT count(*) FROM deliveries WHERE state = 'pending'").fetchone()[0]
    print(json.dumps({"intents": intents, "refunds": refunds, "disputes": taken, "deliveries_pending": pending}))
