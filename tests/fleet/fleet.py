"""A lab of two web hosts and one database host, reached as an operator and as a shopper reach it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.shop import DOMAIN, Shop
from tests.web import Answer, Web

WEB_HOSTS = {"web1": 21, "web2": 22}
HOSTS = (*WEB_HOSTS, "db1", "outside")


class Fleet(Shop):
    """The lab of inventories/lab-fleet."""

    def __init__(self, lab: int, **options: Any) -> None:
        super().__init__(lab, inventory="inventories/lab-fleet", **options)

    def up(self) -> None:
        """Create the hosts, the secrets and the world outside, and deploy; does nothing twice."""
        self.lab_run("up", *HOSTS, "--release", self.release).require()
        self.playbook("playbooks/bootstrap.yml", "-e", "pasargad_environment=lab").require()
        self.playbook("playbooks/lab.yml").require()
        self.deploy().require()

    def status_of(self, host: str) -> dict[str, Any]:
        """Return what `pasargad-ops status --json` says on one web host."""
        return dict(json.loads(self.on(host, "pasargad-ops status --json").require().output))

    def releases(self) -> dict[str, str]:
        """Return the release that shoppers get from each web host."""
        found = {host: self.status_of(host) for host in WEB_HOSTS}
        return {host: status["slots"][status["active"]]["release"] for host, status in found.items()}

    def journal(self, host: str) -> list[dict[str, Any]]:
        """Return the journal of the operations on one web host."""
        text = self.on(host, "cat /var/lib/pasargad/release/journal.jsonl").require().output
        return [json.loads(line) for line in text.splitlines()]


class Edge(Web):
    """One web host of a fleet as a shopper meets it, whom the name of the shop happens to lead there."""

    def __init__(self, fleet: Fleet, host: str, authorities: Path) -> None:
        super().__init__(fleet.network, authorities)
        object.__setattr__(self, "octet", WEB_HOSTS[host])

    def address(self, host: str) -> str:
        return f"{self.network}.{self.octet}" if host == DOMAIN else super().address(host)  # type: ignore[attr-defined]

    def get(self, path: str, cookie: str = "") -> Answer:
        return self.ask(f"https://{DOMAIN}{path}", headers={"Cookie": cookie} if cookie else {})
