"""https://outside.test: one page that shows what arrived, and the same as JSON for tests."""

from __future__ import annotations

import json
from typing import Any

from . import board_page
from .received import Received
from .web import Request, Response, Router, html_response, json_response

READABLE = ("mails", "payments", "deliveries", "hooks", "buckets", "certificates")
CLEARABLE = ("mails", "payments", "hooks")
_ROWS_ON_PAGE = 20


class Board:
    """Serves the page, /mails/ID and /api/NAME."""

    def __init__(self, received: Received) -> None:
        self._received = received
        self._router = Router()
        self._router.add("GET", "/", self._index)
        self._router.add("GET", "/mails/{number}", self._mail)
        self._router.add("GET", "/mails/{number}/html", self._mail_html)
        self._router.add("POST", "/api/mails/refusals", self._refuse)
        self._router.add("GET", "/api/mails/{number}", self._mail_json)
        self._router.add("GET", "/api/{name}", self._read)
        self._router.add("DELETE", "/api/{name}", self._clear)

    def __call__(self, request: Request) -> Response:
        """Answer one request."""
        return self._router(request)

    def start(self) -> None:
        """Nothing runs beside the requests."""

    def stop(self) -> None:
        """Nothing is held that a process's end would lose."""

    def _index(self, request: Request) -> Response:
        found: dict[str, Any] = {}
        for name in READABLE:
            try:
                found[name] = getattr(self._received, name)()[:_ROWS_ON_PAGE]
            except OSError as error:
                # One silent service must not hide what the others received.
                found[name] = str(error)
        return html_response(board_page.index(found))

    def _mail(self, request: Request, number: str) -> Response:
        found = self._received.mail(int(number)) if number.isdigit() else None
        if found is None:
            return json_response({"error": f"no mail {number}"}, 404)
        return html_response(board_page.mail(found))

    def _mail_html(self, request: Request, number: str) -> Response:
        found = self._received.mail(int(number)) if number.isdigit() else None
        if found is None or not found["html"]:
            return json_response({"error": f"no mail {number} with an HTML body"}, 404)
        answer = html_response(found["html"])
        # A mail is a stranger's page: it may show itself and its links, and do nothing in this page's name.
        answer.headers["Content-Security-Policy"] = (
            "sandbox allow-popups allow-top-navigation-by-user-activation; default-src 'none'; "
            "style-src 'unsafe-inline'; img-src https: data:"
        )
        return answer

    def _mail_json(self, request: Request, number: str) -> Response:
        found = self._received.mail(int(number)) if number.isdigit() else None
        return json_response(found) if found else json_response({"error": f"no mail {number}"}, 404)

    def _read(self, request: Request, name: str) -> Response:
        if name not in READABLE:
            return json_response({"error": f"no {name}; there are {', '.join(READABLE)}"}, 404)
        return json_response(getattr(self._received, name)())

    def _clear(self, request: Request, name: str) -> Response:
        if name not in CLEARABLE:
            return json_response({"error": f"only {', '.join(CLEARABLE)} can be cleared"}, 404)
        self._received.clear(name)
        return json_response({"cleared": name})

    def _refuse(self, request: Request) -> Response:
        try:
            wish = json.loads(request.body)
            reply, times = str(wish["reply"]), int(wish.get("times", 1))
        except (ValueError, KeyError, TypeError, AttributeError):
            return json_response({"error": 'send {"reply": "451 4.3.0 try later", "times": 1}'}, 400)
        if reply[:1] not in ("4", "5") or not reply[:3].isdigit() or not 1 <= times <= 1000:
            return json_response({"error": "reply is a 4xx or 5xx SMTP reply, times 1 to 1000"}, 400)
        self._received.refuse_mails(reply, times)
        return json_response({"reply": reply, "times": times}, 201)
