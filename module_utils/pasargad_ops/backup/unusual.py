"""Tell a dump that ended well and is much smaller than those before it: it must never be the last good one."""

from __future__ import annotations

from collections.abc import Sequence

from .manifest import Manifest, Part
from .retention import shrunken

# A shop that was made smaller on purpose is usual again after half of so many sets.
COMPARED = 14
GROUPS = {"globals": "schema", "pre": "schema", "post": "schema"}


def group_of(role: str) -> str:
    """Return what an object belongs to, however many shards there were: data, schema, settings or media."""
    return "data" if role.startswith("data-") else GROUPS.get(role, role)


def bytes_by_group(parts: Sequence[Part]) -> dict[str, int]:
    """Return the bytes of the objects of each group."""
    found: dict[str, int] = {}
    for part in parts:
        found[group_of(part.role)] = found.get(group_of(part.role), 0) + part.bytes
    return found


def flaw_of(parts: Sequence[Part], rows: int, earlier: Sequence[Manifest], wanted: Sequence[str]) -> str:
    """Say in words what is unusually small, empty when nothing; `earlier` are the logical sets before, oldest first.

    `wanted` are the groups that the settings ask for: media that were there in every set and are gone now are missed.
    """
    compared = [manifest for manifest in earlier if manifest.kind == "logical"][-COMPARED:]
    words = [shrunken("rows", rows, [manifest.rows for manifest in compared])]
    now, before = bytes_by_group(parts), [bytes_by_group(manifest.objects) for manifest in compared]
    for group in wanted:
        usual = [sizes[group] for sizes in before if group in sizes]
        if group in now or usual:
            words.append(shrunken(f"bytes of {group}", now.get(group, 0), usual))
    return "; ".join(filter(None, words))
