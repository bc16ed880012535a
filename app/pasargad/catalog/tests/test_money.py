"""Dividing money: nothing is lost, nobody gets more than a cent beside the exact share."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasargad.catalog.money import half_up, spread


@pytest.mark.parametrize(("numerator", "denominator", "expected"), [(1, 2, 1), (3, 2, 2), (49, 100, 0), (0, 7, 0)])
def test_halves_go_up(numerator, denominator, expected):
    assert half_up(numerator, denominator) == expected


@given(st.integers(0, 10**9), st.lists(st.integers(0, 10**7), min_size=1, max_size=60))
def test_parts_add_up_and_are_close_to_their_shares(total, weights):
    parts = spread(total, weights)
    if not sum(weights):
        assert not any(parts)
        return
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - Fraction(total * weight, sum(weights))) < 1
        assert part <= weight or total > sum(weights)


def test_the_first_of_equals_gets_the_rest():
    assert spread(5, [1, 1, 1]) == [2, 2, 1]
