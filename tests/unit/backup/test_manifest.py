"""One form of a manifest, byte for byte, and what cannot be a manifest."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasargad_ops.backup.errors import BackupError, Code
from pasargad_ops.backup.manifest import RUN_ID, Fingerprint, Manifest, Physical, Table, new_run_id, parse
from pasargad_ops.backup.places import Place
from pasargad_ops.backup.records import canonical, to_record
from tests.unit.backup.sets import example

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def record(**changes: Any) -> dict[str, Any]:
    """A manifest as JSON brings it."""
    whole: dict[str, Any] = json.loads(canonical(to_record(example())))
    return {**whole, **changes}


def changed(**changes: Any) -> dict[str, Any]:
    """Another manifest, as JSON brings it."""
    return json.loads(canonical(to_record(example(**changes))))


def test_a_manifest_comes_back_as_it_went() -> None:
    assert parse(record()) == example()
    assert parse(changed(heartbeat=None)) == example(heartbeat=None)


def test_the_form_is_fixed_for_good() -> None:
    """Sets are read for a year and more: a change of this hash is a change of the schema."""
    raw = canonical(to_record(example()))
    assert raw.startswith(b'{"attempt":"v1/prod/1/claims/logical/2026-01-01/attempt-1.json","clock":{"skew_ms":-12,')
    assert "0042_نشانی".encode() in raw
    assert hashlib.sha256(raw).hexdigest() == "3af546f4d6b2a363b8d7ef3b4b48f08d891c114e6ef27bbb088f51be70079e26"


@given(values)
def test_equal_values_have_equal_bytes(value: Any) -> None:
    raw = canonical(value)
    assert json.loads(raw) == value
    assert canonical(json.loads(raw)) == raw


def test_the_order_of_names_and_spaces_make_no_difference() -> None:
    assert canonical({"b": 1, "a": [True, None]}) == b'{"a":[true,null],"b":1}'
    assert canonical({"a": [True, None], "b": 1}) == b'{"a":[true,null],"b":1}'


@pytest.mark.parametrize("value", [1.0, float("nan"), {"a": [1.5]}, {1: "a"}, b"a", {"a": {1, 2}}, "\ud800"])
def test_what_has_no_single_form_is_refused(value: Any) -> None:
    with pytest.raises(BackupError) as caught:
        canonical(value)
    assert caught.value.code is Code.INTEGRITY


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Manifest) if field.name != "schema"])
def test_a_missing_field_is_named(name: str) -> None:
    lacking = record()
    del lacking[name]
    with pytest.raises(BackupError, match=f"lacks {name}$") as caught:
        parse(lacking, "attest/1.json")
    assert caught.value.code is Code.INTEGRITY
    assert caught.value.hint


@pytest.mark.parametrize("schema", [2, 0, "1", True, None])
def test_another_schema_says_what_this_host_can_read(schema: Any) -> None:
    with pytest.raises(BackupError, match="this host reads schema 1") as caught:
        parse(record(schema=schema))
    assert caught.value.code is Code.VERSION_MISMATCH
    assert "deploy.yml" in caught.value.hint


def test_a_record_without_schema_or_that_is_no_record_is_refused() -> None:
    others: list[Any] = [{}, [], None, "manifest"]
    for other in others:
        with pytest.raises(BackupError) as caught:
            parse(other)
        assert caught.value.code is Code.VERSION_MISMATCH


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seq": "1"}, "seq is a str where a int"),
        ({"seq": True}, "seq is a bool where a int"),
        ({"surprise": 1}, "unknown field surprise"),
        ({"pg": None}, "pg is a NoneType"),
        ({"objects": {}}, "objects is a dict where a list"),
        ({"extensions": {"a": 1}}, r"extensions\.a is a int"),
        ({"tables": [{"name": "a"}]}, r"tables\[0\] lacks bytes, fingerprint, shard"),
    ],
)
def test_a_field_of_another_type_is_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(BackupError, match=words):
        parse(record(**changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"run_id": "../../x"}, "is no run id"),
        ({"kind": "other"}, "is no kind"),
        ({"tier": "yearly"}, "is no tier"),
        ({"slot": ""}, "has no slot"),
        ({"exit": 21}, "ended with 21"),
        ({"objects": ()}, "holds no object"),
        ({"objects": example().objects * 2}, "stands in it twice"),
        ({"objects": (dataclasses.replace(example().objects[0], sha256=""),)}, "no size or digest"),
        ({"objects": (dataclasses.replace(example().objects[0], bytes=-1),)}, "no size or digest"),
        ({"crypto": dataclasses.replace(example().crypto, recipients=())}, "no recipient"),
        ({"kind": "physical"}, "what pgBackRest calls it"),
        ({"physical": Physical("main", "F", "full", "", "")}, "what pgBackRest calls it"),
        ({"seq": 3, "prev_seq": 3, "prev_sha256": "ab" * 32}, "come after the one before"),
        ({"seq": 3, "prev_seq": 2}, "hash of the one before"),
        ({"seq": 1, "prev_sha256": "ab" * 32}, "hash of the one before"),
    ],
)
def test_what_no_set_can_be_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(BackupError, match=words) as caught:
        parse(changed(**changes))
    assert caught.value.code is Code.INTEGRITY


def test_run_ids_sort_by_time_and_never_repeat() -> None:
    moment = datetime(2026, 11, 28, tzinfo=UTC)
    ids = [new_run_id(moment + timedelta(milliseconds=number)) for number in range(50)]
    assert ids == sorted(ids)
    assert len({new_run_id(moment) for _ in range(50)}) == 50
    assert all(RUN_ID.fullmatch(one) for one in ids)
    # The example of the ULID specification.
    at = datetime.fromtimestamp(1469918176.385, UTC)
    assert new_run_id(at, random=lambda size: bytes(size)) == "01ARYZ6S41" + "0" * 16


def test_another_cluster_has_other_keys_and_no_name_leaves_its_place() -> None:
    one, other = Place("prod", "71"), Place("prod", "72")
    assert one.manifest(5) == "v1/prod/71/attest/0000000005.json"
    assert not other.manifest(5).startswith(one.root)
    late = datetime.fromisoformat("2026-03-01T01:30:00+02:00")
    assert one.logical(late, "RUN") == "v1/prod/71/logical/2026/02/28/RUN/"
    for env, system_id in (("../other", "71"), ("prod", "71/.."), ("prod", ""), ("Prod", "71"), ("prod", "071")):
        with pytest.raises(BackupError) as caught:
            Place(env, system_id)
        assert caught.value.code is Code.CONFIG


def test_fingerprints_come_back_as_they_were_taken() -> None:
    taken = {
        '"public"."a"': example().tables[0].fingerprint,
        'sequence "public"."a_id_seq"': Fingerprint(-3, step=-1),
        "large objects": Fingerprint(4, "-99999999999999999999"),
    }
    whole = example(tables=tuple(Table(name, "data-000", 1, of) for name, of in taken.items()))
    back = parse(json.loads(canonical(to_record(whole))))
    assert back.fingerprints == taken
    assert back.rows == 3
