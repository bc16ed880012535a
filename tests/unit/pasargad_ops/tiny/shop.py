"""A WSGI shop as well or as ill as about.json says: crash, never_ready, broken_page, answers (path: status), pages."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ABOUT = json.loads((HERE / "about.json").read_text())

if ABOUT.get("crash"):
    raise RuntimeError(f"cannot start: SECRET_KEY={os.environ['SECRET_KEY']}")


def ready() -> tuple[dict[str, dict[str, object]], bool]:
    database = Path(os.environ["TINY_DATABASE"])
    names = json.loads(database.read_text()) if database.exists() else []
    missing = [name for name in ABOUT["migrations"] if name not in names]
    checks = {
        "migrations": {"ok": not missing, "detail": f"not applied: {missing}"},
        "redis": {"ok": not ABOUT.get("never_ready"), "detail": "refused"},
    }
    return checks, all(check["ok"] for check in checks.values())


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
    path = environ["PATH_INFO"]
    about = {"release": os.environ["PASARGAD_RELEASE"], "slot": os.environ["PASARGAD_SLOT"]}
    status, body = "200 OK", {"status": "ok", **about, "checks": {}}
    if path == "/health/ready":
        checks, good = ready()
        status = "200 OK" if good else "503 Service Unavailable"
        body = {"status": "ok" if good else "failing", **about, "checks": checks}
    elif path == "/health/warm":
        body = ABOUT.get("pages", {"paths": ["/", "/products/"]})
    elif path == "/products/" and ABOUT.get("broken_page"):
        status = "500 Internal Server Error"
    elif os.environ.get("FEATURE_MAINTENANCE") == "true" and not path.startswith("/health/"):
        status = "503 Service Unavailable"
    elif path in ABOUT.get("answers", {}):
        status = f"{ABOUT['answers'][path]} As Told"
    start_response(status, [("Content-Type", "application/json"), ("X-Pasargad-Worker", str(os.getpid()))])
    return [json.dumps(body).encode()]
