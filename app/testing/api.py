"""A client of the API that holds every answer against the document."""

# ruff: noqa: S101  # a client of tests

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jsonschema_rs
from django.test import Client

from pasargad.api import openapi
from pasargad.api.dispatch import find
from pasargad.api.keys import key_create
from pasargad.api.scopes import Scope

Json = Any


@cache
def validator(reference: str) -> jsonschema_rs.Validator:
    components = openapi.document()["components"]
    return jsonschema_rs.validator_for({"$ref": reference, "components": components})


def conforms(method: str, path: str, response: Any) -> None:
    """Hold a response against what the document says of its operation: status, type and every field."""
    methods, _parts = find(path.partition("?")[0])
    row = methods.get("GET" if method == "HEAD" else method)
    if row is None:
        return
    described = openapi.document()["paths"][row.path][row.method.lower()]["responses"]
    status = str(response.status_code)
    assert status in described, f"{method} {path} answered {status}, which is not documented: {response.content!r}"
    content = described[status].get("content")
    if content is None:
        assert not response.content
        return
    [media] = content
    assert response.headers["Content-Type"] == media
    validator(content[media]["schema"]["$ref"]).validate(json.loads(response.content))


@dataclass
class Api:
    """Calls operations by their path below /api/v1; keys of idempotency are fresh unless given."""

    headers: dict[str, str] = field(default_factory=dict)
    client: Client = field(default_factory=Client)

    def __call__(self, method: str, path: str, body: Json = None, **headers: str) -> Any:
        sent = {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if method == "POST":
            sent.setdefault("Idempotency-Key", secrets.token_hex(16))
        data = b"" if body is None else json.dumps(body).encode()
        kind = "application/json" if body is not None else "application/octet-stream"
        response = self.client.generic(method, f"/api/v1{path}", data, kind, headers=sent)
        if response.status_code != 405 and not (response.status_code == 404 and "address" in response.content.decode()):
            conforms(method, path, response)
        return response

    def get(self, path: str, **headers: str) -> Any:
        return self("GET", path, **headers)

    def post(self, path: str, body: Json = None, **headers: str) -> Any:
        return self("POST", path, body, **headers)


def with_key(*scopes: Scope) -> Api:
    """Return a client with a fresh key of these scopes."""
    _key, text = key_create(name="tests", scopes=scopes, created_by="tests")
    return Api({"Authorization": f"Bearer {text}"})


def with_cart(*lines: tuple[str, int]) -> Api:
    """Return a client with a fresh cart that holds these articles."""
    made = Api().post("/carts")
    assert made.status_code == 201, made.content
    api = Api({"X-Cart-Token": made.json()["token"]})
    for sku, quantity in lines:
        added = api.post("/cart/lines", {"sku": sku, "quantity": quantity})
        assert added.status_code == 201, added.content
    return api


ADDRESS = {
    "kind": "shipping",
    "name": "Ada Lovelace",
    "street": "1 Engine Street",
    "city": "Boston",
    "state": "MA",
    "zip": "02110",
    "country": "US",
}


def order_body(total: int = 10**9, **changes: Any) -> dict[str, Any]:
    return {"email": "ada@example.org", "delivery": ADDRESS, "agreed_total_minor": total, **changes}
