"""What the public path must answer for a release to stay."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pasargad_ops import http
from pasargad_ops.config import ReleaseConfig
from pasargad_ops.edge_log import Count, Position
from pasargad_ops.verify import LIVE, Watch, judged, probe

WATCH = Watch("green", "blue", "r1", ("/",), Count(), Position(0, 0))
CLOSED = dataclasses.replace(WATCH, closed=True)


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[ReleaseConfig]:
    yield ReleaseConfig("shop.test", "cp311", maintenance_file=tmp_path / "maintenance")


def answering(monkeypatch: pytest.MonkeyPatch, *, public: int, slot: int = 200, release: str = "r1") -> None:
    body = json.dumps({"release": release}).encode()
    monkeypatch.setattr(http, "get_in_public", lambda path, **about: http.Answer(public, {}, body, 1.0))
    monkeypatch.setattr(http, "get_from_socket", lambda *where, **about: http.Answer(slot, {}, body, 1.0))


@pytest.mark.parametrize("status", [301, 302, 403, 404, 410, 500, 502, 503])
def test_a_page_that_the_release_has_named_answers_200(
    monkeypatch: pytest.MonkeyPatch, edge: ReleaseConfig, status: int
) -> None:
    answering(monkeypatch, public=status)
    assert probe(edge, "/", WATCH) == f"/ answers {status}"
    answering(monkeypatch, public=200)
    assert probe(edge, "/", WATCH) == ""


def test_a_shop_that_its_environment_closes_answers_503_and_is_alive(
    monkeypatch: pytest.MonkeyPatch, edge: ReleaseConfig
) -> None:
    answering(monkeypatch, public=503)
    assert probe(edge, "/", CLOSED) == ""
    assert probe(edge, LIVE, CLOSED) == f"{LIVE} answers 503"
    assert judged(edge, Count(100, 2, 98, 5.0), CLOSED) == Count(100, 2, 0, 5.0)
    answering(monkeypatch, public=404)
    assert probe(edge, "/", CLOSED) == "/ answers 404"


def test_the_limit_of_the_proxy_says_nothing_about_the_release(
    monkeypatch: pytest.MonkeyPatch, edge: ReleaseConfig
) -> None:
    answering(monkeypatch, public=429)
    assert probe(edge, "/", WATCH) == ""
    assert probe(dataclasses.replace(edge, edge=False), "/", WATCH) == ""
    answering(monkeypatch, public=200, slot=429)
    assert probe(dataclasses.replace(edge, edge=False), "/", WATCH) == "/ answers 429"


def test_behind_a_shut_edge_the_slot_itself_is_asked(monkeypatch: pytest.MonkeyPatch, edge: ReleaseConfig) -> None:
    answering(monkeypatch, public=503)
    edge.maintenance_file.touch()
    assert probe(edge, "/", WATCH) == ""
    assert judged(edge, Count(100, 100, 0, 5.0), WATCH) == Count()
    answering(monkeypatch, public=503, slot=404)
    assert probe(edge, "/", WATCH) == "/ answers 404"
    answering(monkeypatch, public=200, release="r0")
    assert probe(edge, LIVE, WATCH) == "release r0 answers instead"
