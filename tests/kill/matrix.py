"""Hit deploys with faults and check after each what design and runbooks promise."""

from __future__ import annotations

import json
import signal
import subprocess
import time
import uuid
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any

from pasargad_ops.switch import REPAIR_SECONDS
from tests.kill.faults import Fault
from tests.kill.shoppers import Shoppers
from tests.shop import Shop
from tests.shop_load import VARIANT, query
from tests.web import Web

FAULT = "/run/pasargad-fault"
POINT_SECONDS = 300.0
# So long an operation may outlive its playbook.
WORKS_SECONDS = 90.0
# So long the host may take to bring a killed rollback to its end: the delay of its timer, and a start of Python.
HEALED_SECONDS = REPAIR_SECONDS + 10.0
BACK_SECONDS = 120.0
MIGRATION = '''"""A migration that changes nothing, so that a deploy has one to apply."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("{app}", "{last}")]
    operations = [migrations.RunSQL(migrations.RunSQL.noop, migrations.RunSQL.noop)]
    pasargad_phase = "expand"
'''
FACTS = "python3 - <<'END'\n" + (Path(__file__).parent / "host_facts.py").read_text() + "END"


class NotReached(Exception):
    """The deploy did not come to the point where it was to be hit, so nothing was proven."""


class Matrix:
    """One deployed shop and a changeable copy of its checkout; `run` hits it with a fault and says what was broken."""

    def __init__(self, shop: Shop, copy: Shop, web: Web, say: Callable[[str], None]) -> None:
        self.shop, self.copy, self.web, self.say = shop, copy, web, say
        self._sku = query(shop, VARIANT)[0][0]
        self._bad_before: list[str] = []

    def run(self, fault: Fault) -> list[str]:
        """Deploy a new release (or go back from it), hit that, check, and let the next deploy converge."""
        self._bad_before = self._facts()["state"]["bad"]
        self._change(migration=fault.needs_migration)
        older = self._serving()
        if fault.verb == "rollback":
            self.copy.deploy().require()
        violations: list[str] = []
        with Shoppers(self.web, self._sku) as shoppers:
            hit = self._hit(fault)
            if fault.method == "reboot":
                violations += self._await_shop(hit)
            violations += [f"after the fault: {each}" for each in self._broken_promises()]
            if fault.verb == "rollback":
                violations += self._go_back_again(older)
            calm = time.monotonic()
            again = self.copy.deploy(timeout=900)
            if again.code != 0:
                violations.append(f"the next deploy failed: {again.output[-1500:]}")
            violations += [f"after the next deploy: {each}" for each in self._broken_promises(settled=True)]
            missed = shoppers.missed_after(calm) if fault.method == "reboot" else [each for _, each in shoppers.missed]
        if missed:
            violations.append(f"{len(missed)} of {shoppers.asked} pages were missed: {missed[0]}")
        quiet = self.copy.deploy(timeout=600)
        if quiet.code != 0 or "serves already" not in quiet.output:
            violations.append(f"a deploy with nothing to do did something: {quiet.output[-800:]}")
        return violations

    def _go_back_again(self, older: str) -> list[str]:
        """Say the same again, as the how-to advises, and see that shoppers are on the older release, not to and fro."""
        again = self.shop.playbook("playbooks/rollback.yml")
        if again.code != 0:
            return [f"the next rollback failed: {again.output[-800:]}"]
        serving = self._serving()
        return [] if serving == older else [f"after two rollbacks {serving} serves, not {older}"]

    def _serving(self) -> str:
        status: Any = self.shop.status()
        return str(status["slots"][status["active"]]["release"])

    def _facts(self) -> dict[str, Any]:
        return dict(json.loads(self.shop.on("store1", FACTS).require().output.splitlines()[-1]))

    def _change(self, *, migration: bool) -> None:
        """Make the copy a new release of the same shop."""
        style = self.copy.checkout / "app" / "static" / "css" / "shop.css"
        style.write_text(style.read_text() + f"\n/* {uuid.uuid4().hex} */\n")
        if migration:
            directory = self.copy.checkout / "app" / "pasargad" / "background" / "migrations"
            last = sorted(path.stem for path in directory.glob("[0-9]*.py"))[-1]
            name = f"{int(last[:4]) + 1:04d}_nothing_{uuid.uuid4().hex[:6]}.py"
            (directory / name).write_text(MIGRATION.format(app="background", last=last))
        self.copy.playbook("playbooks/build.yml").require()

    def _hit(self, fault: Fault) -> float:
        """Deploy and let the fault strike; return the moment it did."""
        action = "kill" if fault.method == "operation" else "hold"
        wanted = json.dumps({"point": fault.point, "action": action})
        self.shop.on("store1", f"rm -f {FAULT}.hit; echo '{wanted}' > {FAULT}.json").require()
        deploy = self.copy.begin(
            "deploy.yml" if fault.verb == "deploy" else "playbooks/rollback.yml",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            self._await_point(fault, deploy)
            hit = time.monotonic()
            if fault.method == "playbook":
                deploy.send_signal(signal.SIGKILL)
                # What the operation began goes on to its end on the host, as it would on a lost line.
                self.shop.on("store1", f"rm -f {FAULT}.hit").require()
            elif fault.method == "reboot":
                self.shop.lab_run("restart", "store1").require()
            deploy.wait(300)
        finally:
            if deploy.poll() is None:
                deploy.kill()
            self.shop.on("store1", f"rm -f {FAULT}.json {FAULT}.hit")
        return hit

    def _await_point(self, fault: Fault, deploy: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + POINT_SECONDS
        while self.shop.on("store1", f"test -e {FAULT}.hit").code != 0:
            if deploy.poll() is not None and self.shop.on("store1", f"test -e {FAULT}.hit").code != 0:
                raise NotReached(f"the deploy ended with {deploy.returncode} before {fault.point}")
            if time.monotonic() > deadline:
                raise NotReached(f"the deploy did not come to {fault.point}")
            time.sleep(0.3)

    def _await_shop(self, since: float) -> list[str]:
        """Wait until the shop serves again by itself."""
        while time.monotonic() - since < BACK_SECONDS:
            try:
                if self.web.shop(f"/cart/?fresh={uuid.uuid4().hex}").status == 200:
                    self.say(f"    the shop came back {time.monotonic() - since:.0f} s after the reboot")
                    return []
            except (OSError, HTTPException):
                pass
            time.sleep(0.5)
        return [f"the shop did not come back within {BACK_SECONDS:.0f} s of the reboot"]

    def _broken_promises(self, *, settled: bool = False) -> list[str]:
        """Return the invariants that do not hold; an operation that outlives its playbook is waited for."""
        began = time.monotonic()
        while True:
            status: Any = self.shop.status()
            live, waited = status["live"], time.monotonic() - began
            disagree = live != status["active"] and not status["pending"]
            if not (status["working"] and waited < WORKS_SECONDS) and not (disagree and waited < HEALED_SECONDS):
                break
            time.sleep(0.5)
        facts = self._facts()
        broken = {
            "an operation still holds the host lock": status["working"],
            "live.sock names no ready slot": live is None or not status["slots"][live]["ready"],
            "state and live.sock disagree": disagree,
            "more than one migration runs": facts["migrations"] > 1,
            f"half releases: {facts['halves']}": facts["halves"],
            "a deploy has two terminal lines": len(facts["ids"]) != len(set(facts["ids"])),
        }
        if settled:
            silent = sorted(set(facts["begun"]) - set(facts["ids"]))
            broken |= {
                f"deploys without a terminal line: {silent}": silent,
                f"workers run on {facts['workers']}": facts["workers"] != [status["active"]],
                "the lease is still held": status["lock"],
                "a switch is still pending": status["pending"],
                "a confirmed switch is still open": status["confirmed"],
                f"leftovers: {facts['leftovers']}": facts["leftovers"],
                "a release was marked bad": facts["state"]["bad"] != self._bad_before,
            }
        return [words for words, is_broken in broken.items() if is_broken]


def changeable_copy(shop: Shop, directory: Path) -> Shop:
    """Return the same lab, deployed to from a copy of this checkout that the matrix may change."""
    from tests.shop import copy_checkout

    return Shop(shop.lab, inventory=shop.inventory, checkout=copy_checkout(directory / "checkout"))
