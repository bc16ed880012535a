"""What an order refuses; the text is for shoppers."""

from __future__ import annotations


class OrderRefused(Exception):
    pass


class CartChanged(OrderRefused):
    """The total is higher than the one the shopper agreed to, or goods are gone."""


class NotDeliverable(CartChanged):
    """No way of sending reaches the address, or the one that was chosen does not any more."""


class CouponGone(CartChanged):
    """Another order used the coupon up first."""


class KeyReused(OrderRefused):
    """The same form was sent twice with different contents."""


class OrderOver(OrderRefused):
    """The order of this form was given up; `order_id` names it, so that its goods can be offered again."""

    def __init__(self, text: str, order_id: int) -> None:
        super().__init__(text)
        self.order_id = order_id


class IllegalTransition(Exception):
    """The order is not (any more) in a state from which it may go there."""


class ReturnRefused(Exception):
    """Pieces that cannot be taken back; the text is for shoppers."""
