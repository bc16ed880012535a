"""A restored database has the fingerprints of the snapshot it came from, and one changed row is seen."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pasargad_ops.backup import fingerprint
from pasargad_ops.backup.dump import read_back, snapshot
from pasargad_ops.backup.errors import BackupError, Code
from pasargad_ops.backup.fingerprint import OBJECTS, Fingerprint, differences, fingerprints
from tests.backup import rig

SMALL = 4096


@pytest.fixture(scope="module")
def server() -> Iterator[rig.Server]:
    with rig.server() as found:
        found.execute(rig.odd_tables() + rig.HARD)
        yield found


@pytest.fixture(scope="module")
def restored(server: rig.Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A second database made from the encrypted shards of the first."""
    pair = rig.keys(tmp_path_factory.mktemp("keys"))
    objects = rig.dump_all(server, 3, pair.recipients)
    assert [name for name in objects if name[:4] == "data"] == ["data-000", "data-001", "data-002"]
    plain = {name: b"".join(read_back([sealed], pair.identity)) for name, sealed in objects.items()}
    assert b"CREATE ROLE" in plain["globals"] and b"PASSWORD" not in plain["globals"]
    rig.restore(server, plain, server.create("restored"))
    return "restored"


def taken(
    server: rig.Server, database: str = "", *, like: dict[str, Fingerprint] | None = None, exact_bytes: int = 1 << 28
) -> dict[str, Fingerprint]:
    with contextlib.closing(server.connect(database)) as connection:
        return fingerprints(connection, like=like, exact_bytes=exact_bytes)


@pytest.mark.parametrize("exact_bytes", [1 << 28, SMALL])
def test_a_restored_database_has_the_same_fingerprints(server: rig.Server, restored: str, exact_bytes: int) -> None:
    before = taken(server, exact_bytes=exact_bytes)
    after = taken(server, restored, like=before)
    assert differences(before, after) == []
    assert len(before) > len(rig.ODD_NAMES) + 20
    assert before[OBJECTS].count == 4
    assert before['"public"."hidden"'].count == 9
    assert {before[name].one_in > 1 for name in ('"public"."wide"', '"public"."kinds"')} == {exact_bytes == SMALL}


# A key of the fingerprints changes once in each round.
CHANGES = (
    {
        "DELETE FROM empty; INSERT INTO empty VALUES (1)": '"public"."empty": 0 became 1',
        "UPDATE twins SET b = '' WHERE b IS NULL AND a = 1": '"public"."twins": other content',
        "UPDATE numbers SET f8 = '0.3' WHERE id = 3": '"public"."numbers": other content',
        "UPDATE parted_rest SET word = 'x' WHERE id = 400": '"public"."parted_rest": other content',
        "UPDATE hidden SET owner = 'me' WHERE id = 9": '"public"."hidden": other content',
        "UPDATE wide SET t = overlay(t placing 'X' from 9000000)": '"public"."wide": other content',
        'DELETE FROM "Odd.schema"."per%cent" WHERE id = 1': '"Odd.schema"."per%cent": 7 became 6',
        "SELECT setval('plain', 1)": 'sequence "public"."plain": went back from 5 to 2',
        "SELECT lo_put(4713, 2000000, 'Q')": "large objects: other content",
    },
    {
        "SELECT lo_unlink(4712)": "large objects: 4 became 3",
        "SELECT setval('down', -1)": 'sequence "public"."down": went back from -3 to -2',
        "ALTER SEQUENCE plain INCREMENT 2": 'sequence "public"."plain": steps by 2, not by 1',
        "ALTER TABLE guarded ALTER id TYPE bigint": '"public"."guarded": other columns or types',
        "DROP TABLE fast": '"public"."fast" is missing',
        "CREATE TABLE extra (id int)": '"public"."extra" was not there',
    },
)


def test_each_change_is_seen_and_named(server: rig.Server, restored: str) -> None:
    before = taken(server)
    for changes in CHANGES:
        server.execute(";\n".join(changes), restored)
        after = taken(server, restored)
        assert set(changes.values()) <= set(differences(before, after))
    assert len(differences(before, after)) == sum(map(len, CHANGES)) - 2


def test_equal_rows_do_not_cancel_out_and_order_does_not_matter(server: rig.Server) -> None:
    name = '"public"."dup"'
    found = []
    for rows in ("(1), (1), (2)", "(2), (1), (1)", "(2), (2), (1)", "(1), (1), (1), (1)"):
        server.execute(f"DROP TABLE IF EXISTS dup; CREATE TABLE dup (a int); INSERT INTO dup VALUES {rows}")
        found.append(taken(server)[name])
    server.execute("DROP TABLE dup")
    assert found[0] == found[1] != found[2]
    assert len({one.digest for one in found}) == 3


def test_settings_of_the_session_change_nothing(server: rig.Server) -> None:
    before = taken(server)
    with contextlib.closing(server.connect()) as connection:
        with connection.cursor() as cursor:
            for name, value in (
                ("DateStyle", "SQL, DMY"),
                ("TimeZone", "Asia/Tehran"),
                ("extra_float_digits", "-5"),
                ("bytea_output", "escape"),
                ("IntervalStyle", "sql_standard"),
                ("search_path", "public"),
                ("lc_monetary", "C.UTF-8"),
                ("quote_all_identifiers", "on"),
            ):
                cursor.execute(f"SET {name} = %s", (value,))
        connection.commit()
        assert differences(before, fingerprints(connection)) == []
        # The control: the same session gives another text when nothing is fixed.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fingerprint, "SETTINGS", {})
            changed = differences(before, fingerprints(connection))
    assert {'"public"."numbers"', '"public"."kinds"'} <= {line.partition(": ")[0] for line in changed}


def test_a_sample_sees_every_missing_row_and_the_changed_rows_that_it_picks(server: rig.Server) -> None:
    server.execute(
        "CREATE TABLE many (id int PRIMARY KEY, t text); INSERT INTO many SELECT g, g FROM generate_series(1, 2000) g"
    )
    try:
        before = taken(server, exact_bytes=SMALL)
        one_in = before['"public"."many"'].one_in
        assert 10 < one_in < 60
        server.execute("UPDATE many SET t = 'other' WHERE id % 2 = 0")
        assert differences(before, taken(server, like=before)) == ['"public"."many": other content']
        server.execute("UPDATE many SET t = id")
        assert differences(before, taken(server, like=before)) == []
        server.execute("UPDATE many SET id = 2001 WHERE id = 77")
        assert differences(before, taken(server, like=before)) == ['"public"."many": other content']
        assert differences(before, taken(server))[0].endswith(
            "other rows were sampled; give the fingerprints of before as `like`"
        )
    finally:
        server.execute("DROP TABLE many")


def test_a_snapshot_is_what_counts_and_not_the_present(server: rig.Server) -> None:
    with contextlib.closing(server.connect()) as keeper, snapshot(keeper) as held:
        server.execute("INSERT INTO twins VALUES (9, 'later')")
        try:
            with contextlib.closing(server.connect()) as connection:
                then = fingerprints(connection, held.id)
                now = fingerprints(connection)
        finally:
            server.execute("DELETE FROM twins WHERE a = 9")
    assert (then['"public"."twins"'].count, now['"public"."twins"'].count) == (4, 5)


def test_a_sequence_may_have_moved_on_but_not_back() -> None:
    old = Fingerprint(10, step=1)
    assert differences({"s": old}, {"s": Fingerprint(11, step=1)}) == []
    assert differences({"s": old}, {"s": Fingerprint(9, step=1)}) == ["s: went back from 10 to 9"]
    assert differences({"s": Fingerprint(10)}, {"s": Fingerprint(1)}) == []


def test_rows_that_a_policy_hides_raise_an_error_instead_of_missing(server: rig.Server) -> None:
    server.execute("CREATE ROLE reader LOGIN; GRANT pg_read_all_data TO reader")
    reader = dataclasses.replace(server, environment={**server.environment, "PGUSER": "reader"})
    with pytest.raises(BackupError, match=r'no fingerprint of "public"."hidden": .*row-level security') as caught:
        taken(reader)
    assert caught.value.code == Code.DUMP_FAILED


def test_a_lost_connection_and_a_lost_snapshot_are_told_apart(server: rig.Server) -> None:
    with contextlib.closing(server.connect()) as connection:
        with pytest.raises(BackupError, match="snapshot") as caught:
            fingerprints(connection, "00000003-00000001-1")
        assert caught.value.code == Code.DUMP_FAILED
        server.execute(f"SELECT pg_terminate_backend({connection.info.backend_pid})", "postgres")
        with pytest.raises(BackupError) as caught:
            fingerprints(connection)
        assert caught.value.code == Code.DATABASE_UNREACHABLE


def test_a_fingerprint_survives_json(server: rig.Server, tmp_path: Path) -> None:
    before = taken(server)
    (tmp_path / "f").write_text(json.dumps({name: dataclasses.asdict(one) for name, one in before.items()}))
    read = {name: Fingerprint(**one) for name, one in json.loads((tmp_path / "f").read_text()).items()}
    assert read == before
