"""A new release, and the way back, under load: nobody loses a request, and both versions' files stay reachable."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.shop import DOMAIN, Shop, copy_checkout
from tests.shop_load import Load, kinds
from tests.web import Web

pytestmark = pytest.mark.lab
CLIENTS = 8
STYLE = "css/shop.css"
MARK = "\n/* another version of the same shop */\n"
STATIC_FILE = re.compile(r'(?:href|src)="(/static/[^"]+)"')


@dataclass(frozen=True)
class Journey:
    """A deploy and a rollback under load: what was lost, and what shoppers were shown before, between and after."""

    account: dict[str, Any]
    releases: tuple[str, str, str]
    files: tuple[set[str], set[str], set[str]]


def static_files(web: Web) -> set[str]:
    """Return the hashed files that the home page asks for, past the proxy's cache."""
    answer = web.shop(f"/?fresh={uuid.uuid4().hex}")
    assert answer.status == 200
    return set(STATIC_FILE.findall(answer.text))


def serving(shop: Shop) -> str:
    """Return the release that shoppers get."""
    status: Any = shop.status()
    return str(status["slots"][status["active"]]["release"])


@pytest.fixture(scope="module")
def journey(shop: Shop, web: Web, authorities: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    """Deploy a changed copy of this checkout under load, and roll back under the same load."""
    directory = tmp_path_factory.mktemp("load")
    newer = Shop(shop.lab, checkout=copy_checkout(directory / "checkout"))
    style = newer.checkout / "app" / "static" / STYLE
    style.write_text(style.read_text() + MARK)
    newer.playbook("playbooks/build.yml").require()

    releases, files = [serving(shop)], [static_files(web)]
    with Load(shop, directory, kinds(shop, clients=CLIENTS), authorities=authorities) as load:
        newer.deploy().require()
        releases.append(serving(shop))
        files.append(static_files(web))
        newer.playbook("playbooks/rollback.yml").require()
        releases.append(serving(shop))
        files.append(static_files(web))
    yield Journey(load.summary, tuple(releases), tuple(files))  # type: ignore[arg-type]


def test_no_request_is_lost(journey: Journey) -> None:
    assert journey.account["requests_lost"] == 0, journey.account["losses"]
    assert {"get", "get_uncached", "post", "slow"} == set(journey.account["answered_by_kind"])
    assert set(journey.account["statuses"]) == {"200", "303"}, "a limit or an error answered instead of the shop"


def test_the_releases_changed_as_asked(journey: Journey) -> None:
    before, between, after = journey.releases
    assert before != between
    assert after == before


def test_files_of_both_versions_stay_served(journey: Journey, web: Web) -> None:
    old, new, again = journey.files
    assert old != new, "the changed style sheet has no address of its own"
    assert again == old
    for path in old | new:
        answer = web.ask(f"https://{DOMAIN}{path}", headers={"Accept-Encoding": "br"})
        assert answer.status == 200, path
        assert "immutable" in answer.headers["cache-control"], path
    changed = [path for path in new - old if path.endswith(".css")]
    assert len(changed) == 1
    assert MARK.strip() in web.shop(changed[0]).text
