"""The demo shop's goods, read from catalogue.toml and tied to the models that draw them."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from .mesh import Scene

Rgb = tuple[int, int, int]
SOURCE = Path(__file__).with_name("catalogue.toml")


@dataclass(frozen=True)
class Shelf:
    """A category and the paper its goods are photographed on."""

    slug: str
    name: str
    description: str
    backdrop: Rgb


@dataclass(frozen=True)
class Good:
    """One product: its words, figures and picture recipe. Units are those of catalogue.toml."""

    shelf: Shelf
    slug: str
    name: str
    summary: str
    description: str
    model: Callable[[], Scene]
    colours: tuple[str, ...]
    price: int
    weight: int
    size: tuple[int, int, int]
    minutes: int
    stock: int
    material: str
    care: str
    backdrop: Rgb
    trim: tuple[str, ...] = ()
    sizes: tuple[tuple[str, int], ...] = (("", 0),)
    azimuth: float = 28
    elevation: float = 20
    close_up: float = -34
    featured: bool = False


@dataclass(frozen=True)
class Catalogue:
    shelves: tuple[Shelf, ...]
    goods: tuple[Good, ...]


def load() -> Catalogue:
    """Everything of catalogue.toml; an unknown key or model is an error."""
    data = tomllib.loads(SOURCE.read_text(encoding="utf-8"))
    shelves = {row["slug"]: Shelf(**row | {"backdrop": tuple(row["backdrop"])}) for row in data["shelf"]}
    return Catalogue(tuple(shelves.values()), tuple(good(row, shelves, data["care"]) for row in data["good"]))


def good(row: dict[str, Any], shelves: dict[str, Shelf], care: dict[str, str]) -> Good:
    shelf = shelves[row["shelf"]]
    module, _, function = row["model"].partition(".")
    ready = {key: freeze(value) for key, value in row.items()} | {
        "shelf": shelf,
        "model": getattr(import_module(f"{__package__}.goods.{module}"), function),
        "care": care[row["care"]],
        "backdrop": tuple(row.get("backdrop", shelf.backdrop)),
    }
    return Good(**ready)


def freeze(value: Any) -> Any:
    return tuple(freeze(item) for item in value) if isinstance(value, list) else value
