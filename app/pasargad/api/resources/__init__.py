"""The handlers, one file a resource; importing them fills the table of operations."""

from importlib import import_module

NAMES = ("catalogue", "cart", "checkout", "orders", "staff_orders", "staff_goods", "flags")


def load() -> None:
    for name in NAMES:
        import_module(f"{__name__}.{name}")
