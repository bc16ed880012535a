"""What a drill's checks follow and what they let pass: foreign keys and sequences of every shape, on a real server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from psycopg2.extensions import connection as Connection

from pasargad_ops.backup.drill_checks import look_into, orphans, sequences_behind
from pasargad_ops.backup.drill_end import Seen, look_at_heartbeats
from tests.backup.rig import Server, server

SHAPES = """
CREATE EXTENSION citext;
CREATE TABLE plain (id int PRIMARY KEY);
CREATE TABLE "odd ""name" ("the ""one" int REFERENCES plain);
INSERT INTO plain SELECT generate_series(1, 9);
INSERT INTO "odd ""name" VALUES (1), (2), (NULL);
CREATE TABLE named (name citext PRIMARY KEY);
CREATE TABLE by_name (name citext REFERENCES named);
INSERT INTO named VALUES ('Ali'), ('Zahra');
INSERT INTO by_name VALUES ('ALI'), ('zahra');
CREATE TABLE pairs (a int, b bigint, PRIMARY KEY (a, b));
CREATE TABLE by_pair (x bigint, y int, FOREIGN KEY (y, x) REFERENCES pairs);
INSERT INTO pairs VALUES (1, 2);
INSERT INTO by_pair VALUES (2, 1), (9, NULL), (NULL, 9);
CREATE TABLE parted (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE parted_old PARTITION OF parted FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE by_part (id int, day date, FOREIGN KEY (id, day) REFERENCES parted) PARTITION BY LIST (id);
CREATE TABLE by_part_1 PARTITION OF by_part FOR VALUES IN (1);
INSERT INTO parted VALUES (1, '2020-05-05');
INSERT INTO by_part VALUES (1, '2020-05-05');
CREATE TABLE elder (id int REFERENCES plain);
CREATE TABLE heir () INHERITS (elder);
INSERT INTO heir VALUES (4711);
CREATE TABLE tree (id int PRIMARY KEY, above int REFERENCES tree);
INSERT INTO tree VALUES (1, NULL), (2, 1);
CREATE TABLE young (id int);
INSERT INTO young VALUES (4711);
ALTER TABLE young ADD FOREIGN KEY (id) REFERENCES plain NOT VALID;
CREATE TABLE fed (id serial PRIMARY KEY, code text, ring int,
    down int GENERATED ALWAYS AS IDENTITY (INCREMENT -2 MAXVALUE -1 MINVALUE -99));
CREATE SEQUENCE coded OWNED BY fed.code;
CREATE SEQUENCE ringed CYCLE OWNED BY fed.ring;
INSERT INTO fed (code, ring) SELECT 'x' || g, 99 FROM generate_series(1, 5) g;
CREATE SCHEMA pasargad_ops;
"""
DAMAGES = [
    ("DELETE FROM plain WHERE id = 2", '"odd ""name"'),
    ("DELETE FROM named WHERE name = 'ali'", "by_name"),
    ("DELETE FROM pairs", "by_pair"),
    ("DELETE FROM parted_old", "by_part"),
    ("DELETE FROM tree WHERE id = 1", "tree"),
]


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with server() as found:
        found.execute(SHAPES)
        yield found


@pytest.fixture
def connection(running: Server) -> Iterator[Connection]:
    found = running.connect()
    yield found
    found.rollback()
    found.close()


def test_what_is_whole_is_left_in_peace(connection: Connection) -> None:
    """Also what no constraint holds: heirs, and rows that are older than their constraint."""
    found = look_into(connection, behind={})
    assert found.problems == ()
    assert found.counts['"public"."heir"'] == 1 and found.counts['"public"."elder"'] == 0
    assert found.counts['"public"."parted_old"'] == 1 and '"public"."parted"' not in found.counts
    assert found.rows == sum(found.counts.values()) > 30


@pytest.mark.parametrize(("damage", "child"), DAMAGES)
def test_a_row_that_others_point_to_is_missed(connection: Connection, damage: str, child: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(damage)
        assert cursor.rowcount == 1
        cursor.execute("SET search_path = ''")
    (problem,) = orphans(connection)
    assert problem.startswith(f"1 rows of public.{child} point nowhere")


@pytest.mark.parametrize(
    ("sequence", "back", "words"),
    [
        ("fed_id_seq", "setval('fed_id_seq', 4)", "would give out 5"),
        ("fed_id_seq", "setval('fed_id_seq', 5, false)", "would give out 5"),
        ("fed_down_seq", "setval('fed_down_seq', -7)", "would give out -9"),
    ],
)
def test_a_sequence_that_gives_out_what_is_taken_is_told(
    connection: Connection, sequence: str, back: str, words: str
) -> None:
    assert sequences_behind(connection) == {}
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT last_value, is_called FROM {sequence}")
        last, called = cursor.fetchone() or (0, False)
        cursor.execute(f"SELECT {back}")
        try:
            found = sequences_behind(connection)
            assert [*found] == [f"public.{sequence}"] and words in found[f"public.{sequence}"]
            connection.commit()
            assert any(words in problem for problem in look_into(connection, behind={}).problems)
            assert look_into(connection, behind=found).problems == () == look_into(connection).problems
        finally:
            connection.set_session(readonly=False)
            cursor.execute("SELECT setval(%s, %s, %s)", (f"public.{sequence}", last, called))
            if not connection.autocommit:
                connection.commit()


def test_an_empty_database_was_not_restored(running: Server) -> None:
    running.create("nothing")
    connection = running.connect("nothing")
    try:
        assert look_into(connection, behind={}).problems == ("not one row was restored",)
        assert look_at_heartbeats(connection) == Seen(0.0)
    finally:
        connection.close()


def test_the_newest_heartbeat_counts_whatever_its_number(connection: Connection) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE pasargad_ops.heartbeat (seq bigserial PRIMARY KEY, at timestamptz)")
        assert look_at_heartbeats(connection) == Seen(0.0)
        cursor.execute("INSERT INTO pasargad_ops.heartbeat (at) VALUES (to_timestamp(2000.5)), (to_timestamp(1000))")
    assert look_at_heartbeats(connection) == Seen(2000.5)
