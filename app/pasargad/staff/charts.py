"""Bars drawn by the server: numbers become rectangles of an SVG; a table beside it says the same in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 720, 200
LEFT, BOTTOM, TOP = 64, 24, 12


@dataclass(frozen=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    label: str
    value: str
    below: bool = False


@dataclass(frozen=True)
class Tick:
    y: float
    text: str


@dataclass(frozen=True)
class Chart:
    name: str
    title: str
    bars: list[Bar]
    ticks: list[Tick]
    marks: list[tuple[float, str]]
    zero: float
    rows: list[tuple[str, str]]
    summary: str
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT


def bars(name: str, title: str, points: Sequence[tuple[str, int]], show: Callable[[int], str]) -> Chart:
    """Draw one bar for each (label, value); values below zero hang down from the line."""
    low, high = min(0, *(value for _, value in points)), max(1, *(value for _, value in points))
    step = _step(high - low)
    top, bottom = -(-high // step) * step, (low // step) * step
    room, scale = WIDTH - LEFT, (HEIGHT - BOTTOM - TOP) / (top - bottom)

    def y(value: int) -> float:
        return round(TOP + (top - value) * scale, 2)

    slot = room / len(points)
    drawn = [
        Bar(
            round(LEFT + slot * number + slot * 0.14, 2),
            y(max(value, 0)),
            round(slot * 0.72, 2),
            round(abs(value) * scale, 2),
            label,
            show(value),
            value < 0,
        )
        for number, (label, value) in enumerate(points)
    ]
    every = max(1, len(points) // 6)
    marks = [
        (round(LEFT + slot * (number + 0.5), 2), label)
        for number, (label, _) in enumerate(points)
        if number % every == 0
    ]
    ticks = [Tick(y(value), show(value)) for value in range(bottom, top + 1, step)]
    total = sum(value for _, value in points)
    most = max(points, key=lambda point: point[1])
    summary = f"{show(total)} in all; the most was {show(most[1])} ({most[0]})."
    return Chart(name, title, drawn, ticks, marks, y(0), [(label, show(value)) for label, value in points], summary)


def _step(span: int) -> int:
    """Return a round distance between the lines of a scale, so that there are about four."""
    power = 10 ** max(0, len(str(max(1, span // 4))) - 1)
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor * 4 >= span)
