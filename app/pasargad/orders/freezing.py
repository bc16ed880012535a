"""What an order keeps of its quote: later changes of prices, rates, methods and promotions change nothing in it."""

from __future__ import annotations

from typing import Any

from pasargad.cart.models import CartLine

from .models import Delivery, Order, OrderLine
from .pricing import LinePrice
from .quoting import Quote


def frozen_price(quote: Quote) -> dict[str, Any]:
    """Return the fields of an order that its quote decides."""
    price, method = quote.price, quote.option.method if quote.option else None
    shipped = quote.wish.delivery == Delivery.SHIPPING
    return {
        "subtotal_minor": price.subtotal,
        "discount_minor": price.discount,
        "shipping_minor": price.shipping,
        "shipping_tax_minor": price.shipping_tax,
        "tax_minor": price.tax,
        "tax_inclusive": price.tax_inclusive,
        "total_minor": price.total,
        "coupon_code": "" if quote.coupon_refusal else quote.coupon,
        "discounts": [
            {
                "promotion": found.offer.id,
                "name": found.offer.name,
                "code": found.offer.code,
                "minor": sum(found.cuts),
                "shipping_minor": found.shipping,
            }
            for found in price.applied
        ],
        "taxes": [
            {"name": found.name, "ppm": found.ppm, "base_minor": found.base_minor, "minor": found.tax_minor}
            for found in price.taxes
        ],
        "shipping_grams": quote.grams if shipped else 0,
        "shipping_zone": method.zone if method else "",
        "shipping_method": method.name if method else "",
        "shipping_carrier": method.carrier if method else "",
        "shipping_service": method.service if method else "",
        "pickup_address": [] if shipped or quote.point is None else list(quote.point.lines),
    }


def frozen_line(order: Order, line: CartLine, price: LinePrice) -> OrderLine:
    variant = line.variant
    return OrderLine(
        order=order,
        variant=variant,
        sku=variant.sku,
        product_name=variant.product.name,
        variant_name=variant.name,
        options=variant.options,
        quantity=line.quantity,
        unit_price_minor=variant.price_minor,
        total_minor=price.total,
        discount_minor=price.discount,
        tax_minor=price.tax,
        tax_rates=[{"name": rate.name, "ppm": rate.ppm, "minor": minor} for rate, minor in price.taxes],
        weight_grams=variant.weight_grams,
        made_to_order=variant.made_to_order,
        lead_days=variant.lead_days,
    )
