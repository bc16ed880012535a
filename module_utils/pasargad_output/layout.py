"""Turns what happened into lines of text."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

NAME_WIDTH = 16
HOSTS_WIDTH = 16
WIDTH = 100
# More names than this on one line hide what the line is about.
MOST_HOST_NAMES = 3


def duration(seconds: float) -> str:
    """Return a time span as an operator reads it: 0.04 s, 3.2 s, 48 s, 2 min 05 s."""
    if seconds < 0.095:
        return f"{seconds:.2f} s"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def count(number: int, noun: str) -> str:
    """Return a number with its noun: 1 host, 2 hosts, 18,204 requests."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def hosts_text(hosts: Sequence[str]) -> str:
    """Name the hosts, or count them where names would fill the line."""
    return " ".join(sorted(hosts)) if len(hosts) <= MOST_HOST_NAMES else count(len(hosts), "host")


def phase_line(name: str, hosts: Sequence[str], text: str, seconds: float | None = None) -> str:
    """Return one line of the run: name, hosts, what happened, and the time in the last column."""
    left = f"  {name:<{NAME_WIDTH}} {hosts_text(hosts):<{HOSTS_WIDTH}} {text}".rstrip()
    if seconds is None:
        return left
    time = duration(seconds)
    return f"{left}{' ' * max(2, WIDTH - len(left) - len(time))}{time}"


def detail_line(text: str) -> str:
    """Return a line that belongs to the phase line above it."""
    return f"{' ' * (NAME_WIDTH + HOSTS_WIDTH + 4)}{text}"


def field(name: str, text: str) -> list[str]:
    """Return the lines of one named field of an error; long text keeps its own line breaks."""
    head = f"  {name:<8} "
    lines = text.rstrip().splitlines() or [""]
    return [head + lines[0], *(" " * len(head) + line for line in lines[1:])]


def quoted(name: str, lines: Sequence[str]) -> list[str]:
    """Return log lines under their name, marked so that they are not taken for this program's own words."""
    return [f"  {name:<8} | {line}" if number == 0 else f"{' ' * 11}| {line}" for number, line in enumerate(lines)]


def shorten(text: str, width: int) -> str:
    """Return the text cut to the width of a terminal line."""
    return text if len(text) <= width else textwrap.shorten(text, width, placeholder=" ...")[:width] or text[:width]
