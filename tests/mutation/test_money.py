"""The mutants are real changes; that they are found out takes its own command (`make test-mutation`)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutation.money import SAMPLE, NothingProven, apply, choose
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


def test_a_run_that_was_cut_off_goes_on_from_a_mutant() -> None:
    assert choose(first=MUTANTS[-2].name) == MUTANTS[-2:]
    assert choose() == MUTANTS
    assert {mutant.name for mutant in choose(sample=True)} == set(SAMPLE)


def test_a_run_of_no_mutant_proves_nothing() -> None:
    with pytest.raises(NothingProven):
        choose(first="no such")
    with pytest.raises(NothingProven):
        choose(only="no such")
