"""The mutants are real changes; that they are found out takes its own command (`make test-mutation`)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutation.money import NothingProven, apply
from tests.mutation.mutants import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_mutant_still_finds_its_place(mutant: Mutant) -> None:
    text = (ROOT / "app" / "pasargad" / mutant.file).read_text()
    assert text.count(mutant.old) == 1
    compile(text.replace(mutant.old, mutant.new), mutant.file, "exec")


def test_a_mutant_that_finds_no_place_proves_nothing(tmp_path: Path) -> None:
    (tmp_path / "app" / "pasargad").mkdir(parents=True)
    (tmp_path / "app" / "pasargad" / "empty.py").write_text("")
    with pytest.raises(NothingProven):
        apply(Mutant("none", "empty.py", "gone", "here"), tmp_path)
