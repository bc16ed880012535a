"""What was proven of a set, and which flaws outlast which checks."""

from __future__ import annotations

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
    assert note_proof(path, "a", at=3, level=FOR_PEOPLE).flaw == ""


def test_a_damaged_file_proves_nothing_and_is_written_anew(path: Path) -> None:
    for damaged in ("", "[]", '{"a": 1}', '{"a": {"unknown": 1}}'):
        path.write_text(damaged)
        assert load_proofs(path) == {}
    note_proof(path, "b", at=1, level=1)
    note_proof(path, "c", at=1, level=1)
    forget_proofs(path, ["c"])
    assert set(load_proofs(path)) == {"c"}
