"""The document of the API, and a page to read it on, without a script."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from . import openapi
from .operations import operations
from .problems import KINDS, PAGE


@require_safe
def document(request: HttpRequest) -> HttpResponse:
    """The OpenAPI document, also for programs on other sites."""
    response = HttpResponse(json.dumps(openapi.document()), content_type="application/openapi+json; version=3.1")
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Cache-Control"] = "no-cache"
    return response


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """Every operation in words: plain HTML, so nothing has to be allowed for it."""
    found = openapi.document()
    tags: dict[str, list[dict[str, Any]]] = {}
    for row in operations():
        described = found["paths"][row.path][row.method.lower()]
        tags.setdefault(row.tag, []).append(
            {
                "row": row,
                "path": f"{openapi.BASE}{row.path}",
                "described": described,
                "who": openapi.who_may(row),
                "body": _schema(described.get("requestBody")),
                "answer": _schema(described["responses"][str(row.status)]),
                "problems": [f"{KINDS[name][0]} {name}" for name in openapi.problems_of(row)],
            }
        )
    problems = [(name, f"{PAGE}{name}", *rest) for name, rest in KINDS.items()]
    context = {"tags": tags, "about": found["info"]["description"], "problems": problems, "base": openapi.BASE}
    response = render(request, "api/docs.html", context)
    response.headers["Cache-Control"] = "no-cache"
    return response


def _schema(holder: dict[str, Any] | None) -> str:
    """Return the schema of a body as indented text, with what it refers to written out once."""
    content = (holder or {}).get("content", {}).get("application/json")
    if not content:
        return ""
    definitions = openapi.document()["components"]["schemas"]
    return json.dumps(_written_out(content["schema"], definitions, ()), indent=2, ensure_ascii=False)


def _written_out(schema: Any, definitions: dict[str, Any], above: tuple[str, ...]) -> Any:
    if isinstance(schema, list):
        return [_written_out(item, definitions, above) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        if name in above:
            return {"like": name}
        return _written_out(definitions[name], definitions, (*above, name))
    return {
        key: _written_out(value, definitions, above)
        for key, value in schema.items()
        if not (key == "title" and isinstance(value, str))
    }
