"""A night of backups on the deployed host, and what is left of the shop when its database is put back."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.shop import Shop
from tests.web import Web

pytestmark = pytest.mark.lab
BACKUP = "cd / && pasargad-ops backup"
SQL = "cd / && runuser -u postgres -- psql -qAtX pasargad -c"


def backup(shop: Shop, words: str) -> Any:
    """Run a verb that has to end well; return its details."""
    ran = shop.on("store1", f"{BACKUP} --json {words} 2>/dev/null", timeout=300).require()
    return json.loads(ran.output)


def test_the_jobs_of_a_night_end_well_and_what_they_made_is_restored(shop: Shop) -> None:
    shop.on("store1", "systemctl start pasargad-backup-heartbeat.service").require()
    # One after the other, as the night has them: retention runs beside no other job.
    for job in ("physical", "logical", "verify", "retain", "drill"):
        # As its timer starts it: with what the unit forbids.
        shop.on("store1", f"systemctl start pasargad-backup-{job}.service", timeout=300).require()
    sets = {one["kind"]: one for one in backup(shop, "sets")["sets"]}
    assert set(sets) == {"physical", "logical"}
    assert sets["physical"]["level"] == 3
    assert sets["physical"]["drilled_at"] > 0
    assert sets["logical"]["level"] == 2
    assert not any(one["flaw"] for one in sets.values())


def test_the_offline_key_opens_the_logical_set_and_stays_in_memory(shop: Shop) -> None:
    identity = shop.checkout / ".secrets/backup-identity-lab.txt"
    ran = shop.playbook("playbooks/drill.yml", "-e", f"identity_file={identity}").require()
    assert "logical drill" in ran.output
    secret = re.findall("AGE-SECRET-KEY-[0-9A-Z]+", identity.read_text())[0]
    assert secret not in ran.output
    found = shop.on(
        "store1", f"grep -rlF {secret[:30]} /etc /var /tmp /run /root --exclude-dir=proc 2>/dev/null || true"
    )
    assert found.output.strip() == ""


def test_a_restore_to_a_point_in_time_brings_back_that_moment(shop: Shop, web: Web) -> None:
    shop.on("store1", f"{SQL} 'CREATE TABLE public.before_it (t int)'").require()
    time.sleep(1.1)
    moment = datetime.now(UTC).isoformat(timespec="milliseconds")
    time.sleep(1.1)
    shop.on("store1", f"{SQL} 'DROP TABLE public.before_it'").require()
    shop.on("store1", f"{BACKUP} heartbeat && {SQL} 'SELECT pg_switch_wal()'").require()
    shop.on("store1", f"{SQL} \"DO 'BEGIN PERFORM pg_sleep(2); END'\"").require()
    planned = backup(shop, f"restore time --at {moment}")
    assert web.shop("/").status == 200, "a plan closes nothing"
    refused = shop.on("store1", f"{BACKUP} restore time --at {moment} --confirm RESTORE-none")
    assert refused.code == 60
    begun = time.monotonic()
    shop.on("store1", f"{BACKUP} restore time --at {moment} --confirm {planned['confirm']}", timeout=300).require()
    took = time.monotonic() - begun
    assert shop.on("store1", f"{SQL} 'SELECT count(*) FROM public.before_it'").require().output.strip() == "0"
    # The shop waits for whoever looks at it first.
    assert web.shop("/").status == 503
    shop.on("store1", "rm /var/lib/pasargad-edge/maintenance; rm -rf /var/lib/postgresql/*/main.before-*").require()
    shop.on("store1", f"{SQL} 'DROP TABLE public.before_it'").require()
    shop.on("store1", "systemctl start pasargad-backup-heartbeat.service").require()
    backup(shop, "physical --kind full --slot after-the-restore")
    backup(shop, "verify --level 1")
    assert web.shop("/shop/").status == 200
    print(f"restored in {took:.1f} s")
