"""What is wrong with a request, as RFC 9457 says it: one family, one rendering."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus

from django.http import HttpResponse

MEDIA_TYPE = "application/problem+json"
PAGE = "/api/docs/#problem-"

# Names of problems; the documentation explains each.
KINDS = {
    "malformed": (400, "The body is not JSON, or the address cannot be understood."),
    "unauthenticated": (401, "The operation needs an API key, or a signed-in member of the staff."),
    "forbidden": (403, "The key lacks the scope, the account the right; or a browser sent this from another site."),
    "not-found": (404, "There is no such thing, or it is not yours."),
    "method-not-allowed": (405, "The address knows other methods: see the header Allow."),
    "refused": (409, "The request is well formed, and the state of things speaks against it. The detail says what."),
    "in-progress": (409, "A request with the same Idempotency-Key is being worked on. Ask again in a moment."),
    "changed": (412, "Somebody changed it meanwhile: get it again, and send the new ETag as If-Match."),
    "too-large": (413, "The body is larger than this address takes."),
    "not-json": (415, "Send the body as application/json."),
    "invalid": (422, "Fields are missing, unknown or of the wrong kind; `errors` names all of them."),
    "key-reused": (422, "The Idempotency-Key was used for another request. Take a fresh key for each."),
    "unguarded": (428, "Send the ETag of what you have seen as If-Match, so that no change of others is lost."),
    "too-many": (429, "Too many requests: the header Retry-After says when to come back."),
    "broken": (500, "Something went wrong on our side. Nothing half done is kept; the same request may be sent again."),
    "unavailable": (503, "Busy or closed at the moment. The same request may be sent again."),
}


@dataclass(frozen=True)
class FieldError:
    """One thing that is wrong: `place` is body, query, path or header, `field` a JSON pointer or a name."""

    place: str
    field: str
    detail: str


class Problem(Exception):
    """Ends a request; `kind` is a name of KINDS, which decides the status."""

    def __init__(
        self,
        kind: str,
        detail: str = "",
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.kind, self.errors, self.headers = kind, tuple(errors), dict(headers or {})
        self.status, usual = KINDS[kind]
        self.detail = detail or usual
        super().__init__(self.detail)

    def response(self) -> HttpResponse:
        body = {
            "type": f"{PAGE}{self.kind}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            body["errors"] = [asdict(error) for error in self.errors]
        answer = HttpResponse(json.dumps(body), status=self.status, content_type=MEDIA_TYPE)
        for name, value in self.headers.items():
            answer.headers[name] = value
        return answer
