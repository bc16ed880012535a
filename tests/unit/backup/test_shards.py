"""Every table in exactly one shard, whatever it is called, and what nobody listed in shard 0."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasargad_ops.backup.dump import snapshot
from pasargad_ops.backup.shards import MOST_NAMED, Shard, Table, commands, pattern, plan, shard_count
from tests.backup import rig

MIB = 1 << 20


def tables(*sizes: int) -> list[Table]:
    return [Table(100 + number, "public", f"t{number}", size) for number, size in enumerate(sizes)]


def test_a_small_database_gets_one_shard_and_a_large_one_a_shard_for_each_core_up_to_four() -> None:
    assert [shard_count(cores, 63 * MIB) for cores in (1, 2, 64)] == [1, 1, 1]
    assert [shard_count(cores, 64 * MIB) for cores in (0, 1, 2, 3, 4, 64)] == [1, 1, 2, 3, 4, 4]


def test_the_largest_table_goes_alone_and_the_rest_is_level() -> None:
    shards = plan(tables(900, 300, 300, 200, 100), 2)
    assert [[table.bytes for table in shard.tables] for shard in shards] == [[300, 300, 200, 100], [900]]


def test_one_shard_names_no_table() -> None:
    (only,) = plan(tables(5, 6), 1)
    assert only.others == ()
    assert not [word for word in commands([only], snapshot="1-1", database="d")["data-000"] if "table" in word]


def test_no_tables_and_fewer_tables_than_shards_leave_no_shard_empty() -> None:
    assert plan([], 4) == (Shard(0, (), ()),)
    assert [len(shard.tables) for shard in plan(tables(1, 1), 4)] == [0, 1, 1]


def test_thousands_of_tables_do_not_make_thousands_of_arguments() -> None:
    shards = plan(tables(*range(50_000)), 4)
    assert sum(len(shard.tables) for shard in shards[1:]) <= MOST_NAMED
    # The few that are named are the largest.
    assert min(table.bytes for shard in shards[1:] for table in shard.tables) >= 50_000 - MOST_NAMED


@given(st.lists(st.integers(0, 1 << 40), max_size=200), st.integers(1, 8))
def test_each_table_is_in_one_shard_and_shard_0_leaves_out_what_others_give(sizes: list[int], count: int) -> None:
    listed = tables(*sizes)
    shards = plan(listed, count)
    assert Counter(table for shard in shards for table in shard.tables) == Counter(listed)
    assert set(shards[0].others) == {table for shard in shards[1:] for table in shard.tables}
    assert [shard.number for shard in shards] == list(range(len(shards)))
    assert plan(list(reversed(listed)), count) == shards
    loads = [sum(table.bytes for table in shard.tables) for shard in shards]
    if len(sizes) <= MOST_NAMED:
        # The bound of Graham for the longest first: 4/3 of the best, which is no less than the mean or the largest.
        assert max(loads) <= 4 / 3 * max(sum(sizes) / count, *sizes, 0) + max(sizes, default=0) / 3


def test_the_objects_come_in_the_order_of_restoring_and_show_no_secret() -> None:
    made = commands(plan(tables(9, 9), 2), snapshot="0003-1", database="it's")
    assert list(made) == ["globals", "pre", "data-000", "data-001", "post"]
    assert "--no-role-passwords" in made["globals"]
    assert "--database=dbname='it\\'s'" in made["globals"]
    assert all("--snapshot=0003-1" in command for name, command in made.items() if name != "globals")


@pytest.fixture(scope="module")
def server() -> Iterator[rig.Server]:
    with rig.server() as found:
        found.execute(rig.odd_tables())
        yield found


def dumped(server: rig.Server, command: tuple[str, ...]) -> list[str]:
    """Return the tables whose rows a dump holds, as `pg_restore --list` names them."""
    env = {**os.environ, **server.environment}
    made = subprocess.run(command, capture_output=True, env=env, check=False)
    assert made.returncode == 0, made.stderr
    listed = subprocess.run(["pg_restore", "--list"], input=made.stdout, capture_output=True, check=True).stdout
    return re.findall(r"TABLE DATA (.*) pasargad$", listed.decode(), re.M)


def test_a_pattern_matches_its_table_and_no_other(server: rig.Server) -> None:
    with contextlib.closing(server.connect()) as connection, snapshot(connection) as held:
        assert {table.name for table in held.tables} == set(rig.ODD_NAMES)
        for table in held.tables:
            taken = commands([Shard(1, (table,))], snapshot=held.id, database="x")["data-001"]
            assert dumped(server, taken) == [f"{table.schema} {table.name}".replace("\n", " ")]


def test_all_shards_together_hold_each_table_once(server: rig.Server) -> None:
    with contextlib.closing(server.connect()) as connection, snapshot(connection) as held:
        for count in (1, 2, 4):
            made = commands(plan(held.tables, count), snapshot=held.id, database="x")
            found = [
                name for object_, command in made.items() if object_[:4] == "data" for name in dumped(server, command)
            ]
            assert sorted(found) == sorted(f"{t.schema} {t.name}".replace("\n", " ") for t in held.tables)


def test_a_table_that_is_gone_ends_the_dump_instead_of_making_it_smaller(server: rig.Server) -> None:
    with contextlib.closing(server.connect()) as connection, snapshot(connection) as held:
        gone = Table(1, "public", "gone", 1)
        command = commands([Shard(1, (held.tables[0], gone))], snapshot=held.id, database="x")["data-001"]
        made = subprocess.run(command, capture_output=True, env={**os.environ, **server.environment}, check=False)
        assert made.returncode != 0
        assert pattern(gone).encode() in made.stderr
