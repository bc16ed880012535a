"""What others may react to, inside the transaction in which it happened."""

from django.dispatch import Signal

# order: Order, before: Status, after: Status
order_changed = Signal()
