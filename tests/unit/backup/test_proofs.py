"""What was proven of a set, and which flaws outlast which checks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pasargad_ops.backup.proofs import FOR_PEOPLE, Proof, forget_proofs, load_proofs, note_proof


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "proofs.json"


def test_the_highest_check_stays_and_a_flaw_takes_it_back(path: Path) -> None:
    note_proof(path, "a", at=1, level=4, drilled=True)
    note_proof(path, "a", at=2, level=1)
    assert load_proofs(path) == {"a": Proof(4, 2, 1)}
    note_proof(path, "a", at=3, level=2, flaw="a flipped byte")
    assert load_proofs(path) == {"a": Proof(0, 3, 1, "a flipped byte", 2)}


def test_a_flaw_is_only_taken_back_by_a_check_of_its_level_or_above(path: Path) -> None:
    note_proof(path, "a", at=1, level=2, flaw="a flipped byte")
    # The check of names does not read bytes.
    assert note_proof(path, "a", at=2, level=1).flaw == "a flipped byte"
    assert note_proof(path, "a", at=3, level=1, flaw="a name").flaw == "a flipped byte"
    assert note_proof(path, "a", at=4, level=2) == Proof(2, 4, 0)


def test_no_check_takes_back_what_people_must_judge(path: Path) -> None:
    note_proof(path, "a", at=1, level=FOR_PEOPLE, flaw="half of the rows")
    for level in range(5):
        assert note_proof(path, "a", at=2, level=level, drilled=True).flaw == "half of the rows"
    assert note_proof(path, "a", at=3, level=FOR_PEOPLE) == Proof(0, 3, 2)


def test_a_damaged_file_proves_nothing_and_is_written_anew(path: Path) -> None:
    for damaged in ("", "[]", '{"a": 1}', '{"a": {"unknown": 1}}', '{"a": {"level": "4"}}', '{"a": {"flaw": false}}'):
        path.write_text(damaged)
        assert load_proofs(path) == {}
    note_proof(path, "b", at=1, level=1)
    note_proof(path, "c", at=1, level=1)
    forget_proofs(path, ["c"])
    assert set(load_proofs(path)) == {"c"}


def test_a_file_that_cannot_be_read_proves_nothing(path: Path) -> None:
    path.mkdir()
    assert load_proofs(path) == {}


def test_a_file_of_before_flaws_had_a_level_is_read(path: Path) -> None:
    path.write_text('{"a": {"level": 0, "at": 1.0, "drilled_at": 0, "flaw": "damaged"}}')
    assert load_proofs(path)["a"].flaw == "damaged"


def test_nothing_to_forget_writes_nothing(path: Path) -> None:
    for run_id in ("a", "b"):
        note_proof(path, run_id, at=1, level=2)
    before = path.stat().st_ino
    forget_proofs(path, ["a", "b", "c"])
    assert (path.stat().st_ino, path.stat().st_mode & 0o777) == (before, 0o640)


def test_those_who_note_at_once_lose_no_word(path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: note_proof(path, f"r{number}", at=1, level=1), range(20)))
    assert len(load_proofs(path)) == 20
