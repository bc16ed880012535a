"""What an order costs, worked out a second time with decimals and nothing of the shop's own arithmetic."""

from __future__ import annotations

from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal, localcontext
from typing import Any

CENT, NOISE = Decimal(1), Decimal(1).scaleb(-25)


def rounded(value: Decimal) -> int:
    return int(value.quantize(NOISE, ROUND_HALF_UP).quantize(CENT, ROUND_HALF_UP))


def divided(total: int, weights: list[Decimal]) -> list[int]:
    whole = sum(weights, Decimal(0))
    if not whole:
        return [0] * len(weights)
    exact = [(total * weight / whole).quantize(NOISE, ROUND_HALF_UP) for weight in weights]
    parts = [int(share.quantize(CENT, ROUND_FLOOR)) for share in exact]
    while sum(parts) < total:
        rest = [share - part for share, part in zip(exact, parts, strict=True)]
        parts[rest.index(max(rest))] += 1
    return parts


def saved(request: Any, offers: list[Any]) -> tuple[list[int], int, list[int]]:
    """Apply offers one after the other; returns what came off each line, off shipping, and which offers did it."""
    items = request.items
    rest = [Decimal(item.unit_price_minor) * item.quantity for item in items]
    freight, off_freight, used = request.shipping_minor, 0, []
    for offer in offers:
        fits = [
            (not offer.products and not offer.categories)
            or item.product_id in offer.products
            or any(category in offer.categories for category in item.categories)
            for item in items
        ]
        weights = [left if fit else Decimal(0) for left, fit in zip(rest, fits, strict=True)]
        cut = [0] * len(items)
        if offer.kind == "free_shipping":
            off_freight, freight = off_freight + freight, 0
            if off_freight and not any(entry.kind == "free_shipping" for entry in offers[: offers.index(offer)]):
                used.append(offer.id)
            continue
        if offer.kind == "fixed":
            cut = divided(int(min(Decimal(offer.amount_minor), sum(weights, Decimal(0)))), weights)
        elif offer.kind == "percentage":
            cut = divided(rounded(sum(weights, Decimal(0)) * offer.basis_points / 10_000), weights)
        else:
            # Lay all fitting pieces in a row, the cheapest first: so many of them get cheaper.
            row = sorted(
                (item.unit_price_minor, index)
                for index, (item, fit) in enumerate(zip(items, fits, strict=True))
                if fit
                for _ in range(item.quantity)
            )
            cheaper = row[: len(row) // (offer.buy_quantity + offer.get_quantity) * offer.get_quantity]
            worth = [
                min(sum((Decimal(price) for price, at in cheaper if at == index), Decimal(0)), weights[index])
                for index in range(len(items))
            ]
            cut = divided(rounded(sum(worth, Decimal(0)) * offer.basis_points / 10_000), worth)
        if sum(cut):
            used.append(offer.id)
        rest = [left - part for left, part in zip(rest, cut, strict=True)]
    return (
        [int(item.unit_price_minor * item.quantity - left) for item, left in zip(items, rest, strict=True)],
        off_freight,
        used,
    )


def price(request: Any) -> dict[str, Any]:
    with localcontext(prec=70):
        return _price(request)


def _price(request: Any) -> dict[str, Any]:
    offers = sorted(request.offers, key=lambda offer: (offer.priority, offer.id))
    best: tuple[int, tuple[list[int], int, list[int]]] | None = None
    for choice in [[offer for offer in offers if offer.combinable]] + [[o] for o in offers if not o.combinable]:
        outcome = saved(request, choice)
        if best is None or sum(outcome[0]) + outcome[1] > best[0]:
            best = (sum(outcome[0]) + outcome[1], outcome)
    assert best
    cuts, off_freight, used = best[1]
    freight = request.shipping_minor - off_freight
    nets = [item.unit_price_minor * item.quantity - cut for item, cut in zip(request.items, cuts, strict=True)]

    taxation = request.taxation
    parts = [
        (net, taxation.rates.get(item.tax_class) or taxation.rates.get("", ()))
        for net, item in zip(nets, request.items, strict=True)
    ]
    parts.append((freight, taxation.shipping))
    by_rate: dict[Any, Decimal] = {}
    for amount, rates in parts:
        together = sum(Decimal(rate.ppm) for rate in rates) / 1_000_000
        for rate in rates:
            share = Decimal(rate.ppm) / 1_000_000
            net = Decimal(amount) / (1 + together) if taxation.inclusive else Decimal(amount)
            by_rate[rate] = by_rate.get(rate, Decimal(0)) + net * share
    taxes = {rate: rounded(value) for rate, value in by_rate.items()}
    subtotal = sum(item.unit_price_minor * item.quantity for item in request.items)
    tax = sum(taxes.values())
    return {
        "subtotal": subtotal,
        "cuts": cuts,
        "shipping": freight,
        "taxes": taxes,
        "used": used,
        "total": subtotal - sum(cuts) + freight + (0 if taxation.inclusive else tax),
    }
