"""What can go wrong with payments."""

from __future__ import annotations


class PaymentError(Exception):
    """Base of all of them; the text may be shown to shoppers."""


class ProviderUnreachable(PaymentError):
    """No answer, or not a usable one: whether the provider did it is not known, so the same key must be used again."""


class ProviderFailed(ProviderUnreachable):
    """The provider answered that it failed; it will answer this key so for as long as it remembers it."""


class ProviderRefused(PaymentError):
    """A definite no."""


class NotPayable(PaymentError):
    """The order does not wait for a payment."""


class RefundRefused(PaymentError):
    """More than can be given back, or nothing to give."""


class WebhookRefused(Exception):
    """The message was not signed by the provider, is too old, or is not for this shop."""
