"""What parcels and carriers refuse; the text is for staff."""

from __future__ import annotations


class ShipmentRefused(Exception):
    pass


class CarrierError(Exception):
    pass


class CarrierRefused(CarrierError):
    """A definite no: nothing was bought."""


class CarrierUnreachable(CarrierError):
    """No answer, or none that tells: what was asked for may have happened."""


class WebhookRefused(Exception):
    pass
