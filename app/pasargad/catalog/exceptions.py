"""What the catalogue refuses."""

from __future__ import annotations


class CatalogError(Exception):
    """Base of everything the catalogue refuses; the text may be shown to shoppers."""


class OutOfStock(CatalogError):
    """Fewer pieces are there than were asked for; `variant_ids` names the short ones."""

    def __init__(self, variant_ids: set[int]) -> None:
        self.variant_ids = variant_ids
        super().__init__("Somebody else was faster: not all of these goods are still in stock.")


class PictureRefused(CatalogError):
    """The file is no picture that the shop can show."""


class ShapeRefused(CatalogError):
    """The file is no three-dimensional shape that the shop can show."""
