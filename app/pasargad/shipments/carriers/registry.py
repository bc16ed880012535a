from __future__ import annotations

from pasargad.shipping.models import ShippingMethod

from .own import OwnCarrier
from .port import Carrier
from .shippo import Shippo

CARRIERS: dict[str, type[Carrier]] = {
    ShippingMethod.Carrier.OWN.value: OwnCarrier,
    ShippingMethod.Carrier.SHIPPO.value: Shippo,
}


def carrier_of(code: str) -> Carrier:
    return CARRIERS[code]()
