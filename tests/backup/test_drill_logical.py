"""Logical drills: a set of a real database, restored into a cluster of its own and compared with its snapshot."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from psycopg2.extensions import connection as Connection

from pasargad_ops.backup import drill_logical
from pasargad_ops.backup.chain import Entry
from pasargad_ops.backup.drill import DrillRequest, drill
from pasargad_ops.backup.drill_checks import FILLED_ROWS, filled_before, read_living
from pasargad_ops.backup.errors import BackupError, Code
from pasargad_ops.backup.logical import LogicalRequest, backup_logical
from pasargad_ops.backup.logical_restore import compare_with
from pasargad_ops.backup.manifest import Manifest
from pasargad_ops.backup.proofs import load_proofs
from tests.backup.jobs_rig import Host, host
from tests.backup.rig import Keys, keys
from tests.backup.test_drill import nothing_is_left, reports, value

SHOP = """
CREATE TABLE lines (id bigserial PRIMARY KEY, purchase int NOT NULL REFERENCES orders, note text);
INSERT INTO lines (purchase, note) SELECT 1 + g % 500, md5(g::text) FROM generate_series(1, 2000) g;
CREATE TABLE queue (id int);
INSERT INTO queue VALUES (1);
CREATE ROLE clerk LOGIN;
GRANT SELECT ON lines TO clerk;
"""
DIES = """
import os, signal
from pasargad_ops.backup import drill, drill_logical
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
drill_logical.{when} = die
drill.drill(context, drill.DrillRequest("logical", identity=Path({identity!r})))
"""


@dataclass(frozen=True)
class Shop:
    """A host with two logical sets, the second of them with one row more."""

    host: Host
    keys: Keys

    @property
    def entries(self) -> list[Entry]:
        return [*self.host.context.chain().offered]

    def drill(self, **changes: Any) -> dict[str, Any]:
        """Drill with the offline key."""
        request = DrillRequest("logical", **{"identity": self.keys.identity, **changes})
        return drill(self.host.context, request).details

    def fails(self, code: Code, words: str, **changes: Any) -> BackupError:
        """Run a drill that must fail loudly, and leave nothing."""
        with pytest.raises(BackupError, match=words) as caught:
            self.drill(**changes)
        assert caught.value.code == code and caught.value.hint
        assert value(self.host, "logical", "success") == 0
        assert reports(self.host)[-1]["code"] == code
        nothing_is_left(self.host)
        return caught.value


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with host() as made:
        pair = keys(made.home)
        made.more = {"recipients_file": str(pair.recipients)}
        made.rig.sql(SHOP)
        backup_logical(made.context, LogicalRequest("first"))
        made.rig.sql("INSERT INTO orders VALUES (501, 'later')")
        backup_logical(made.context, LogicalRequest("second"))
        yield Shop(made, pair)


def proof_of(shop: Shop, entry: Entry) -> Any:
    return load_proofs(shop.host.context.config.proofs_file)[entry.manifest.run_id]


def test_the_newest_set_is_restored_and_equal(shop: Shop) -> None:
    details = shop.drill()
    newest = shop.entries[-1]
    assert details["label"] == f"set {newest.seq}" and details["problems"] == []
    assert details["rows"] == 501 + 2000 + 1 + 1
    assert (proof_of(shop, newest).level, proof_of(shop, newest).flaw) == (4, "")
    assert time.time() - proof_of(shop, newest).drilled_at < 60
    for phase in ("cluster", "fetch", "open", "checks", "fetch-data"):
        assert value(shop.host, "logical", "phase_seconds", phase=phase) > 0
    rto = sum(value(shop.host, "logical", "phase_seconds", phase=name) for name in ("cluster", "fetch", "open"))
    assert value(shop.host, "logical", "rto_seconds") == pytest.approx(rto)
    assert value(shop.host, "logical", "success") == 1
    assert reports(shop.host)[-1]["run_id"] == newest.manifest.run_id
    nothing_is_left(shop.host)


def test_an_older_set_is_taken_by_its_number(shop: Shop) -> None:
    first = shop.entries[0]
    assert shop.drill(seq=first.seq)["rows"] == 500 + 2000 + 1 + 1
    assert proof_of(shop, first).level == 4
    shop.fails(Code.TARGET_REFUSED, "no logical set 99", seq=99)


def test_no_time_is_promised_of_it(shop: Shop) -> None:
    before = dict(shop.host.more)
    shop.host.more = {**before, "bounds": {"rto_seconds": 1, "rpo_seconds": 1}}
    try:
        assert shop.drill()["rto_ms"] > 1000
    finally:
        shop.host.more = before


def test_one_changed_value_is_found_and_told_of_the_set(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(connection: Connection, manifest: Manifest) -> list[str]:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE lines SET note = note || ' ' WHERE id = 1999")
        connection.commit()
        return compare_with(connection, manifest)

    with monkeypatch.context() as patch:
        patch.setattr(drill_logical, "compare_with", damaged)
        error = shop.fails(Code.DRILL_FAILED, '"public"."lines": other content')
    assert len(error.details["problems"]) == 1
    proof = proof_of(shop, shop.entries[-1])
    assert (proof.level, proof.flaw_level) == (0, 4) and "other content" in proof.flaw
    # Only a check as deep takes it back.
    shop.drill()
    assert proof_of(shop, shop.entries[-1]).flaw == ""


def test_without_the_key_it_says_how_to_bring_it(shop: Shop, tmp_path: Path) -> None:
    for identity, words in ((None, "no key that opens"), (tmp_path / "absent", "cannot be read")):
        error = shop.fails(Code.KEY, words, identity=identity)
        assert "identity_file=" in error.hint
        with pytest.raises(BackupError, match=words):
            drill(shop.host.context, DrillRequest("logical", identity=identity), dry_run=True)


def test_another_key_opens_nothing(shop: Shop, tmp_path: Path) -> None:
    shop.fails(Code.KEY, "opens|identity|key", identity=keys(tmp_path).identity)
    assert proof_of(shop, shop.entries[-1]).flaw == "", "the set is no worse for it"


def test_the_key_of_the_host_does_as_well(shop: Shop) -> None:
    before = dict(shop.host.more)
    shop.host.more = {**before, "identity_file": str(shop.keys.identity)}
    try:
        assert shop.drill(identity=None)["problems"] == []
    finally:
        shop.host.more = before


def test_a_damaged_object_is_found_and_told_of_the_set(shop: Shop) -> None:
    copy = Shop(shop.host.copy(), shop.keys)
    newest = copy.entries[-1]
    (part,) = [part for part in newest.manifest.objects if part.role == "data-0" or part.role.startswith("data-0")][:1]
    stored = next(
        path
        for path in copy.host.storage.rglob("*")
        if str(path).endswith(part.key.rpartition("/")[2]) and newest.manifest.run_id in str(path)
    )
    content = bytearray(stored.read_bytes())
    content[len(content) // 2] ^= 1
    stored.chmod(0o600)
    stored.write_bytes(content)
    copy.fails(Code.INTEGRITY, part.key)
    assert proof_of(copy, newest).flaw.startswith("a drill found") and proof_of(copy, newest).flaw_level == 4


def test_a_dry_run_reads_only(shop: Shop) -> None:
    context = shop.host.context
    files = {*shop.host.home.rglob("*"), *shop.host.storage.rglob("*")}
    outcome = drill(context, DrillRequest("logical", identity=shop.keys.identity), dry_run=True)
    assert f"would restore set {shop.entries[-1].seq}" in outcome.summary
    assert {*shop.host.home.rglob("*"), *shop.host.storage.rglob("*")} == files


@pytest.mark.parametrize("when", ["restore_logical", "compare_with", "amcheck"])
def test_after_a_kill_the_next_drill_is_clean(shop: Shop, when: str) -> None:
    process = shop.host.start(DIES.format(when=when, identity=str(shop.keys.identity)))
    said, _ = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL, said
    assert os.path.exists(shop.host.home / "scratch/drill-logical/data")  # noqa: PTH110
    assert shop.drill()["problems"] == []
    nothing_is_left(shop.host)


def test_physical_drills_know_from_a_set_which_tables_are_never_empty(shop: Shop) -> None:
    """A queue may be, and a table that was emptied since; a set that is younger than the target says nothing."""
    names = filled_before(shop.host.context, time.time())
    assert {*names} == {'"public"."orders"', '"public"."lines"'} and FILLED_ROWS > 1
    first = shop.entries[0].manifest.times.snapshot_ms / 1000
    assert filled_before(shop.host.context, first - 1) == []
    living = read_living(shop.host.context, time.time())
    assert {*living.filled} == {*names} and time.time() - living.beaten < 3600
    shop.host.rig.sql("DELETE FROM lines")
    assert read_living(shop.host.context, time.time()).filled == ('"public"."orders"',)
    assert read_living(shop.host.context, 1.0).beaten == 0
