"""The OpenAPI 3.1 document, made of the table of operations and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from http import HTTPStatus
from typing import Any

from django.conf import settings
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from . import answers
from .access import CART_HEADER
from .operations import CART, ORDER, PATH_PARTS, Operation, operations
from .problems import KINDS, MEDIA_TYPE
from .scopes import Scope

BASE = "/api/v1"
ABOUT = """Everything that the shop's pages do, for other programs.

Amounts are whole minor units. Times are UTC. A POST that creates or pays needs a fresh `Idempotency-Key`: sent again,
it is answered as it was the first time, and nothing is done twice. Answers have an `ETag`; send it as `If-None-Match`
to spare the body, and as `If-Match` with a change. What is not yours does not exist (404). Problems are RFC 9457's.
"""
Json = dict[str, Any]


@cache
def schemas() -> tuple[Json, Json]:
    """Return references by (model, mode) and the definitions of all models of the table."""
    wanted: list[tuple[type[BaseModel], str]] = [(answers.ProblemShown, "serialization")]
    for row in operations():
        wanted += [(model, "validation") for model in (row.body, row.query) if model]
        wanted += [(row.answer, "serialization")] if row.answer else []
    references, found = models_json_schema(
        list(dict.fromkeys(wanted)),  # type: ignore[arg-type]
        ref_template="#/components/schemas/{model}",
    )
    return references, found["$defs"]


@cache
def document() -> Json:
    """Return the whole document; who asks must not change it."""
    _references, definitions = schemas()
    paths: dict[str, Json] = {}
    for row in operations():
        paths.setdefault(row.path, {})[row.method.lower()] = described(row)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"{settings.BUSINESS.name}: API",
            "version": "1",
            "description": ABOUT,
            "contact": {"email": settings.BUSINESS.address.email},
        },
        "servers": [{"url": BASE}],
        "tags": [{"name": name} for name in dict.fromkeys(row.tag for row in operations())],
        "paths": paths,
        "components": {
            "schemas": definitions,
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": f"An API key. Scopes: {', '.join(Scope.values)}.",
                },
                "session": {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME},
            },
        },
    }


def described(row: Operation) -> Json:
    """Describe one operation."""
    found: Json = {
        "operationId": row.name,
        "tags": [row.tag],
        "summary": row.summary,
        "description": "\n\n".join(filter(None, [row.detail, who_may(row)])),
        "parameters": [*_path_parameters(row), *_query_parameters(row), *_header_parameters(row)],
        "responses": _responses(row),
        "security": [{"key": []}, {"session": []}] if row.access in Scope.values else [],
    }
    if row.body:
        content = {"application/json": {"schema": _reference(row.body, "validation")}}
        found["requestBody"] = {"required": True, "content": content}
    return found


def who_may(row: Operation) -> str:
    """Say in words who may use an operation."""
    if row.access == CART:
        return f"For whoever holds the cart's token ({CART_HEADER})."
    if row.access == ORDER:
        return "For whoever holds the order's token."
    if row.access in Scope.values:
        return f"Needs the scope `{Scope(row.access).value}`, or a session of staff with the same right."
    return "For anybody."


def _reference(model: type[BaseModel], mode: str) -> Json:
    references, _definitions = schemas()
    return dict(references[(model, mode)])


def _path_parameters(row: Operation) -> Iterator[Json]:
    for name in row.parts:
        pattern, about = PATH_PARTS[name]
        schema = {"type": "string", "pattern": f"^{pattern}$"}
        yield {"name": name, "in": "path", "required": True, "description": about, "schema": schema}


def _query_parameters(row: Operation) -> Iterator[Json]:
    if row.query is None:
        return
    _references, definitions = schemas()
    name = _reference(row.query, "validation")["$ref"].rpartition("/")[2]
    for field, schema in definitions[name]["properties"].items():
        plain = {key: value for key, value in schema.items() if key not in ("title", "default", "description", "anyOf")}
        # A parameter is left out, never null.
        for choice in schema.get("anyOf", []):
            plain |= choice if choice.get("type") != "null" else {}
        yield {"name": field, "in": "query", "description": schema.get("description", ""), "schema": plain}


def _header_parameters(row: Operation) -> Iterator[Json]:
    if row.access == CART:
        yield _header(CART_HEADER, "The cart's token", pattern="^[0-9a-f]{32}$")
    if row.keyed:
        yield _header("Idempotency-Key", "Fresh for each wish, the same for each repetition", "^[A-Za-z0-9_-]{16,64}$")
    if row.guarded:
        about = "The ETag of what the change is made to"
        yield _header("If-Match", about, required=row.guarded == "required")


def _header(name: str, about: str, pattern: str = "", *, required: bool = True) -> Json:
    schema = {"type": "string", "pattern": pattern} if pattern else {"type": "string", "minLength": 1}
    return {"name": name, "in": "header", "required": required, "description": about, "schema": schema}


def problems_of(row: Operation) -> list[str]:
    """Return the names of the problems that an operation may answer with."""
    found = ["invalid", "too-many", "broken", "unavailable", "malformed"]
    if row.body:
        found += ["too-large", "not-json"]
    # A key that has ended is refused wherever it is sent.
    found += ["unauthenticated"]
    if row.access in Scope.values:
        found += ["forbidden"]
    if row.parts or row.access in (CART, ORDER):
        found += ["not-found"]
    if row.refusals:
        found += ["refused"]
    if row.keyed:
        found += ["in-progress", "key-reused"]
    if row.guarded:
        found += ["changed"]
    if row.guarded == "required":
        found += ["unguarded"]
    return [name for name in KINDS if name in found]


def _responses(row: Operation) -> Json:
    responses: Json = {}
    headers = {"ETag": {"schema": {"type": "string"}}} if row.method == "GET" or row.guarded else {}
    if row.keyed:
        headers["Idempotent-Replayed"] = {"schema": {"type": "string"}, "description": "true: the stored answer"}
    good: Json = {"description": HTTPStatus(row.status).phrase}
    if row.answer:
        good["content"] = {"application/json": {"schema": _reference(row.answer, "serialization")}}
    if headers:
        good["headers"] = headers
    responses[str(row.status)] = good
    if row.method == "GET":
        responses["304"] = {"description": "Not Modified"}
    by_status: dict[int, list[str]] = {}
    for name in problems_of(row):
        by_status.setdefault(KINDS[name][0], []).append(name)
    for status, names in sorted(by_status.items()):
        responses[str(status)] = {
            "description": f"{HTTPStatus(status).phrase}: {', '.join(names)}",
            "content": {MEDIA_TYPE: {"schema": _reference(answers.ProblemShown, "serialization")}},
        }
    return responses
