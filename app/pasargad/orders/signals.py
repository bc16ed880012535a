"""What others may react to, inside the transaction in which it happened."""

from django.dispatch import Signal

# order: Order, before: Status, after: Status
order_changed = Signal()

# request: ReturnRequest, before: ReturnState, after: ReturnState
return_changed = Signal()

# order: Order (locked), actor: str; fewer of its pieces are owed than before
pieces_refunded = Signal()

# order: Order, reference: str (names the refund), amount_minor: int
money_returned = Signal()

# order: Order, reference: str (names the dispute), amount_minor: int
payment_disputed = Signal()
