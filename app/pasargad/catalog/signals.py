"""What others may react to, inside the transaction in which it happened."""

from __future__ import annotations

from django.dispatch import Signal

# quantities: mapping of a variant to the pieces that left `on_hand`
stock_left = Signal()

# product: Product
product_changed = Signal()
