"""A dump that is much smaller than those before is told, whatever made it so."""

from __future__ import annotations

import dataclasses

from pasargad_ops.backup.manifest import Fingerprint, Manifest, Part, Table
from pasargad_ops.backup.unusual import COMPARED, bytes_by_group, flaw_of
from tests.unit.backup.sets import example

WANTED = ("data", "settings", "media")


def parts(**sizes: int) -> tuple[Part, ...]:
    return tuple(Part(f"x/{role}.age", role.replace("_", "-"), size, "ab" * 32, "") for role, size in sizes.items())


def made(rows: int = 100, **sizes: int) -> Manifest:
    table = Table("t", "data-000", 0, Fingerprint(rows, "1", "columns"))
    return example(tables=(table,), objects=parts(**(sizes or {"pre": 50, "data_000": 600, "data_001": 400})))


USUAL = [made() for _ in range(5)]


def test_groups_do_not_depend_on_the_number_of_shards() -> None:
    assert bytes_by_group(parts(globals=1, pre=2, post=4, data_000=8, data_001=16, media=32)) == {
        "schema": 7,
        "data": 24,
        "media": 32,
    }


def test_what_is_usual_has_no_flaw() -> None:
    assert flaw_of(made().objects, 100, USUAL, WANTED) == ""
    assert flaw_of(parts(data_000=500), 50, USUAL, WANTED) == ""
    # Nobody knows yet what is usual.
    assert flaw_of(parts(data_000=1), 1, USUAL[:2], WANTED) == ""


def test_a_set_that_shrank_is_told_by_rows_and_by_bytes() -> None:
    assert flaw_of(parts(data_000=1000), 49, USUAL, WANTED) == "it has 49 rows where 100 are usual"
    assert flaw_of(parts(data_000=499), 100, USUAL, WANTED) == "it has 499 bytes of data where 1000 are usual"
    assert flaw_of(parts(data_000=1000), 0, [], WANTED) == "it has no rows"


def test_media_cannot_hide_an_empty_dump_and_missing_media_are_missed() -> None:
    before = [made(data_000=1000, media=1_000_000) for _ in range(5)]
    assert "499 bytes of data" in flaw_of(parts(data_000=499, media=1_000_000), 100, before, WANTED)
    assert flaw_of(parts(data_000=1000), 100, before, WANTED) == "it has no bytes of media"
    # Unless the settings do not ask for them any more.
    assert flaw_of(parts(data_000=1000), 100, before, ("data",)) == ""


def test_a_shop_that_was_made_smaller_is_usual_again() -> None:
    physical = dataclasses.replace(made(rows=1), kind="physical")
    small = [made(rows=10) for _ in range(COMPARED // 2)]
    assert flaw_of(made().objects, 10, [*USUAL * 3, *small, physical], WANTED) == "it has 10 rows where 55 are usual"
    assert flaw_of(made().objects, 10, [*USUAL * 3, *small, small[0]], WANTED) == ""
