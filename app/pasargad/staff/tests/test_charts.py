"""Rectangles are as high as the numbers they stand for, whatever the numbers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pasargad.analytics.selectors import Totals
from pasargad.staff.charts import HEIGHT, LEFT, WIDTH, bars
from pasargad.staff.figures import cards, funnel


@given(st.lists(st.integers(-(10**9), 10**11), min_size=1, max_size=92))
def test_bars_fit_and_keep_their_proportions(values):
    chart = bars("x", "X", [(str(number), value) for number, value in enumerate(values)], str)
    assert len(chart.bars) == len(chart.rows) == len(values) and 2 <= len(chart.ticks) <= 12
    for bar in chart.bars:
        assert bar.x >= LEFT and bar.x + bar.width <= WIDTH + 0.1
        assert bar.y >= -0.1 and bar.y + bar.height <= HEIGHT
    highest = max(values, key=abs)
    for value, bar in zip(values, chart.bars, strict=True):
        largest = max(each.height for each in chart.bars)
        assert abs(bar.height - (largest * abs(value) / abs(highest) if highest else 0)) < 0.05


def test_changes_are_said_with_their_direction():
    found = {
        card.label: card for card in cards(Totals(received=300, paid=3, sessions=30), Totals(received=200, paid=4))
    }
    assert (found["Revenue"].change, found["Revenue"].way) == ("+50 %", "up")
    assert (found["Orders paid"].change, found["Orders paid"].way) == ("-25 %", "down")
    assert (found["Sessions"].change, found["Conversion"].value) == ("new", "10.0 %")
    assert found["Returns"].way == "same"


def test_a_funnel_of_nothing_divides_by_nothing():
    assert all(step.count == 0 and step.width == 0 for step in funnel(Totals()))
