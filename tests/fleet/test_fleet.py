"""A deploy over two web hosts: what they share, and that nobody switches before everybody is ready."""

from __future__ import annotations

import re
import shlex
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.bad_input.refusal import FAULT, MESSAGE, appended, only_message
from tests.fleet.fleet import WEB_HOSTS, Edge, Fleet
from tests.shop import DOMAIN, copy_checkout
from tests.shop_load import VARIANT

pytestmark = [pytest.mark.lab, pytest.mark.slow]
DEADMAN_SECONDS = 60
FILE = re.compile(r'(?:href|src)="((?:/static/|/media/|https://s3\.)[^"]+)"')
CONNECT = "timeout 3 bash -c ': < /dev/tcp/{}/{}'"
# The data of a shop is made by one host only.
ONCE = "SELECT (SELECT count(*) FROM accounts_user WHERE is_superuser), (SELECT count(*) FROM catalog_product)"


def changed(fleet: Fleet, directory: Path, name: str, text: str) -> Fleet:
    """Return the same fleet, deployed to from a changed copy of this checkout."""
    copy = copy_checkout(directory / "checkout")
    appended(name, text)(copy)
    return Fleet(fleet.lab, release=fleet.release, checkout=copy)


def edges(fleet: Fleet, authorities: Path) -> dict[str, Edge]:
    return {host: Edge(fleet, host, authorities) for host in WEB_HOSTS}


def at_rest(fleet: Fleet, authorities: Path, release: str) -> None:
    """Assert that both hosts serve the release, and that nothing of a deploy is left on either."""
    for host, edge in edges(fleet, authorities).items():
        status = fleet.status_of(host)
        about = status["slots"][status["active"]]
        assert (about["release"], about["ready"], status["live"]) == (release, True, status["active"]), host
        assert (status["pending"], status["lock"], status["working"]) == (None, None, False), host
        assert edge.get(f"/?fresh={uuid.uuid4().hex}").status == 200, host


def query(fleet: Fleet, statement: str) -> str:
    words = " ".join(statement.split()).replace("'", "'\\''")
    command = f"cd / && runuser -u postgres -- psql -XAt -F '|' -v ON_ERROR_STOP=1 -d pasargad -c '{words}'"
    return fleet.on("db1", command).require().output.strip()


def test_both_hosts_serve_one_release_with_all_its_files(fleet: Fleet, authorities: Path) -> None:
    assert len(set(fleet.releases().values())) == 1
    at_rest(fleet, authorities, fleet.releases()["web1"])
    pages = fleet.paths_to_warm("web1")
    for host, edge in edges(fleet, authorities).items():
        files = {file for page in pages for file in FILE.findall(edge.get(page).text)}
        urls = {file if file.startswith("https:") else f"https://{DOMAIN}{file}" for file in files}
        assert any(url.startswith("https://s3.") for url in urls), "no picture lies where both hosts can write"
        assert [url for url in sorted(urls) if edge.ask(url).status != 200] == [], host


def test_the_schema_and_the_first_data_are_made_once(fleet: Fleet) -> None:
    expanded = {host: sum(line["phase"] == "expand" for line in fleet.journal(host)) for host in WEB_HOSTS}
    assert expanded["web1"] > 0
    assert expanded["web2"] == 0
    administrators, products = query(fleet, ONCE).split("|")
    assert administrators == "1"
    assert int(products) > 10


def test_a_cart_filled_on_one_host_is_there_on_the_other(fleet: Fleet, authorities: Path) -> None:
    one, other = edges(fleet, authorities).values()
    sku = query(fleet, VARIANT)
    headers = {
        "Origin": f"https://{DOMAIN}",
        "Referer": f"https://{DOMAIN}/",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    added = one.ask(
        f"https://{DOMAIN}/cart/add/", method="POST", headers=headers, body=f"variant={sku}&quantity=1".encode()
    )
    assert added.status in (302, 303)
    assert sku in other.get("/cart/", "; ".join(added.cookies)).text
    assert sku not in other.get("/cart/").text


def test_data_ports_are_open_to_the_web_hosts_alone(fleet: Fleet) -> None:
    database = f"{fleet.network}.31"
    for port in (5432, 6379):
        for host in WEB_HOSTS:
            fleet.on(host, CONNECT.format(database, port)).require()
        assert fleet.on("outside", CONNECT.format(database, port)).code != 0
    assert fleet.on("outside", CONNECT.format(f"{fleet.network}.21", 6432)).code != 0
    assert database in fleet.on("web2", "cat /etc/pgbouncer/pgbouncer.ini").require().output


def test_nobody_switches_before_everybody_is_ready(
    fleet: Fleet, authorities: Path, tmp_path: Path, figures: dict[str, Any]
) -> None:
    before = fleet.releases()["web1"]
    switched = [line for line in fleet.journal("web1") if line["phase"] == "switch"]
    only_on_web2 = 'import socket\n\nif socket.gethostname() == "web2":\n    raise RuntimeError("not on this host")'
    newer = changed(fleet, tmp_path, "app/config/wsgi.py", only_on_web2)
    message = only_message(newer.deploy(), "crashes at start", "RuntimeError: not on this host")
    assert message.splitlines()[0].split()[-1] == "web2"
    assert [line for line in fleet.journal("web1") if line["phase"] == "switch"] == switched
    at_rest(fleet, authorities, before)
    status = fleet.status_of("web1")
    idle = next(about for slot, about in status["slots"].items() if slot != status["active"])
    assert not idle["web"]
    figures["barrier_held"] = True


@pytest.mark.parametrize("point", ["switch:armed", "confirm:confirmed"])
def test_a_host_that_dies_before_all_have_confirmed_takes_the_others_back(
    fleet: Fleet, authorities: Path, tmp_path: Path, figures: dict[str, Any], point: str
) -> None:
    before = fleet.releases()["web1"]
    newer = changed(fleet, tmp_path, "app/static/css/shop.css", f"/* {uuid.uuid4().hex} */")
    fleet.on("web2", f"""echo '{{"point": "{point}", "action": "kill"}}' > {FAULT}.json""").require()
    try:
        refused = newer.deploy()
    finally:
        fleet.on("web2", f"rm -f {FAULT}.json {FAULT}.hit").require()
    ended = time.monotonic()
    assert refused.code != 0
    assert len(MESSAGE.findall(refused.output)) == 1, refused.output
    while set(fleet.releases().values()) != {before}:
        assert time.monotonic() - ended < DEADMAN_SECONDS, fleet.releases()
        time.sleep(1)
    seconds = round(time.monotonic() - ended, 1)
    figures["reverted_seconds_after_prompt"] = max(seconds, figures.get("reverted_seconds_after_prompt", 0.0))
    at_rest(fleet, authorities, before)
    renamed = [line for line in fleet.journal("web1") if line["event"] == "renamed"]
    assert renamed[-1]["at"] > time.time() - 600, "web1 never switched, so nothing was put back"

    again = newer.deploy().require()
    assert set(fleet.releases().values()) != {before}
    at_rest(fleet, authorities, fleet.releases()["web1"])
    figures["deploy_s"] = round(again.seconds, 1)


def test_a_deadman_that_fires_before_the_confirmation_takes_the_others_back(
    fleet: Fleet, authorities: Path, tmp_path: Path
) -> None:
    before = fleet.releases()["web1"]
    newer = changed(fleet, tmp_path, "app/static/css/shop.css", f"/* {uuid.uuid4().hex} */")
    fleet.on("web2", f"""echo '{{"point": "agree:begin", "action": "hold"}}' > {FAULT}.json""").require()
    # The held operation goes on when the host has put its switch back, which it does while the operation hangs.
    pending = "pasargad-ops status --json | grep -q '\"pending\": null'"
    release = f"until test -e {FAULT}.hit; do sleep 1; done; until {pending}; do sleep 1; done; rm -f {FAULT}.hit"
    fleet.on("web2", f"systemd-run --quiet --collect sh -c {shlex.quote(release)}").require()
    try:
        refused = newer.deploy()
    finally:
        fleet.on("web2", f"rm -f {FAULT}.json {FAULT}.hit").require()
    assert refused.code != 0
    assert "has put traffic back" in refused.output
    assert set(fleet.releases().values()) == {before}
    at_rest(fleet, authorities, before)


def test_a_host_that_dies_when_all_have_confirmed_leaves_the_fleet_on_the_new_release(
    fleet: Fleet, authorities: Path, tmp_path: Path
) -> None:
    before = fleet.releases()["web1"]
    newer = changed(fleet, tmp_path, "app/static/css/shop.css", f"/* {uuid.uuid4().hex} */")
    fleet.on("web2", f"""echo '{{"point": "finish:workers", "action": "kill"}}' > {FAULT}.json""").require()
    try:
        refused = newer.deploy()
    finally:
        fleet.on("web2", f"rm -f {FAULT}.json {FAULT}.hit").require()
    assert refused.code != 0
    assert len(set(fleet.releases().values())) == 1
    assert set(fleet.releases().values()) != {before}
    newer.deploy().require()
    at_rest(fleet, authorities, fleet.releases()["web1"])


def test_the_fleet_goes_back_together(fleet: Fleet, authorities: Path, figures: dict[str, Any]) -> None:
    leaving = fleet.releases()["web1"]
    back = fleet.playbook("playbooks/rollback.yml").require()
    release = fleet.releases()["web1"]
    assert release != leaving
    at_rest(fleet, authorities, release)
    figures.update(rollback_s=round(back.seconds, 1), web_hosts=len(WEB_HOSTS))
