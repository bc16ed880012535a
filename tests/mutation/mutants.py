"""Ways in which money could go wrong: each takes one guard, one entry or one step out of the shop.

A mutant's old text must stand exactly once in its file, so that none can fall asleep when the code changes.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """One change of one file below app/pasargad."""

    name: str
    file: str
    old: str
    new: str


REFUNDS, PIECES = "payments/refunds.py", "payments/pieces.py"
PAYMENTS, ORDERS = "payments/services.py", "orders/services.py"
BOOKS, RETURNS, SHIPMENTS = "payments/bookkeeping.py", "orders/returns.py", "shipments/services.py"
COUPONS, STOCK, DISPUTES = "promotions/services.py", "catalog/stock.py", "payments/disputes.py"
EXPIRING = "return order_move(order, Status.EXPIRED"

MUTANTS = [
    # Late, doubled and disordered messages.
    Mutant(
        "older news of a refund counts", REFUNDS, "if RANK[status] > RANK[Refund.Status(refund.status)]:", "if True:"
    ),
    Mutant(
        "older news of a dispute counts",
        DISPUTES,
        "if not fresh and RANK[status] <= RANK[Dispute.Status(dispute.status)]:",
        "if not fresh and status == dispute.status:",
    ),
    Mutant(
        "a payment that succeeded hears late news",
        PAYMENTS,
        "return attempt.status == PaymentAttempt.Status.SUCCEEDED",
        "return False",
    ),
    Mutant(
        "a cancelled payment ignores late money",
        PAYMENTS,
        'return bool(attempt.received_minor) or intent.status not in ("succeeded", "processing")',
        "return True",
    ),
    Mutant(
        "a message before its payment is forgotten",
        PAYMENTS,
        "update(waiting=True, subject=intent_of(event))",
        'update(waiting=False, subject="")',
    ),
    Mutant(
        "a message that was refused is noted as done",
        PAYMENTS,
        "            elif not money_message(event):\n                WebhookEvent",
        "            else:\n"
        "                try:\n"
        "                    done = money_message(event)\n"
        "                except PaymentError:\n"
        "                    done = True\n"
        "            if not event['type'].startswith('payment_intent.') and not done:\n"
        "                WebhookEvent",
    ),
    Mutant(
        "a failed refund that was sent again hears its old messages",
        REFUNDS,
        "if RefundFailure.objects.filter(provider_id=sent.id).exists():",
        "if False:",
    ),
    Mutant(
        "an intent whose answer was lost is nobody's",
        PAYMENTS,
        "if found is None and intent.attempt_key:",
        "if False:",
    ),
    Mutant(
        "a slow answer overwrites what came meanwhile",
        PAYMENTS,
        "PaymentAttempt.objects.filter(pk=attempt.pk, status=PaymentAttempt.Status.CREATED).update(",
        "PaymentAttempt.objects.filter(pk=attempt.pk).update(",
    ),
    # Payments.
    Mutant("a second payment is kept", PAYMENTS, "if paid_before.exists():", "if False:"),
    Mutant(
        "every start asks for a new payment",
        PAYMENTS,
        "attempt = PaymentAttempt.objects.filter(order=order, status__in=PaymentAttempt.LIVE).first()",
        "attempt = None",
    ),
    Mutant(
        "the money of an order that cannot be fulfilled is kept",
        PAYMENTS,
        "if order.status == Status.REFUND_DUE:\n        refund_open(",
        "if False:\n        refund_open(",
    ),
    Mutant(
        "money for a cancelled order changes nothing",
        ORDERS,
        "if order.status == Status.CANCELLED:",
        "if False:",
    ),
    Mutant(
        "the reconciler forgets payments of orders that are over",
        PAYMENTS,
        "if attempt.order.status != Status.AWAITING_PAYMENT:\n                _withdraw(attempt)",
        "if attempt.order.status != Status.AWAITING_PAYMENT:\n                pass",
    ),
    Mutant(
        "an order that expired can be paid on",
        PAYMENTS,
        "if order.status != Status.AWAITING_PAYMENT or order.expires_at <= timezone.now():",
        "if order.status in (Status.CANCELLED, Status.REFUNDED):",
    ),
    # Stock.
    Mutant(
        "a late payment takes no goods out of stock",
        ORDERS,
        "stock_commit(order.reference)\n        redemptions_retake(",
        "redemptions_retake(",
    ),
    Mutant(
        "an expired order keeps its goods",
        ORDERS,
        f"stock_release(order.reference)\n    redemptions_release(order.reference)\n    {EXPIRING}",
        f"redemptions_release(order.reference)\n    {EXPIRING}",
    ),
    Mutant(
        "a cancelled order keeps its goods",
        ORDERS,
        "order_move(order, Status.CANCELLED, actor=actor)\n    stock_release(order.reference)",
        "order_move(order, Status.CANCELLED, actor=actor)",
    ),
    Mutant("goods are not held", ORDERS, "_hold(order, lines)\n        _redeem", "_redeem"),
    Mutant(
        "what a return brings is not put into stock",
        RETURNS,
        "restock(((row.line, row.restocked) for row in lines), reference=request.reference)",
        "pass",
    ),
    Mutant(
        "goods made to order come back into stock",
        RETURNS,
        "if quantity and not line.made_to_order:",
        "if quantity:",
    ),
    # Refunds and returns.
    Mutant(
        "returns ignore pieces that were refunded",
        RETURNS,
        "line.quantity - line.refunded_quantity - taken.get(line.pk, 0)",
        "line.quantity - taken.get(line.pk, 0)",
    ),
    Mutant(
        "refunds ignore pieces in returns",
        PIECES,
        'room = F("refunded_quantity") + piece.quantity + returned.get(piece.line.pk, 0)',
        'room = F("refunded_quantity") + piece.quantity',
    ),
    Mutant(
        "refunds ignore what banks took",
        REFUNDS,
        "attempt.received_minor - attempt.refunded_minor - attempt.disputed_minor)",
        "attempt.received_minor - attempt.refunded_minor)",
    ),
    Mutant(
        "more is given back than there is",
        REFUNDS,
        "if amount_minor > _room(attempt):",
        "if amount_minor > attempt.received_minor:",
    ),
    Mutant(
        "a second click gives the money twice",
        REFUNDS,
        "if key and (known := Refund.objects.filter(request_key=key, attempt__order_id=order_id).first()):",
        "if key and (known := None):",
    ),
    Mutant(
        "a refund is sent again with the old key",
        "payments/keys.py",
        "return f\"{re.sub(r'-s[0-9]+$', '', key)}-s{sending}\"",
        "return key",
    ),
    Mutant(
        "a refund keeps its key in spite of the provider's failure",
        REFUNDS,
        'locked.error = _("The payment service failed.")\n                _renew(locked)',
        "pass",
    ),
    Mutant(
        "a refund made at the provider is not noted",
        REFUNDS,
        "refund = _adopt(order, attempt, sent)",
        "return True",
    ),
    Mutant(
        "a return goes where it may not",
        RETURNS,
        "if to not in RETURN_TRANSITIONS[before]:",
        "if False:",
    ),
    Mutant("a refunded return is refunded again", REFUNDS, "if request.state == ReturnState.REFUNDED:", "if False:"),
    Mutant(
        "the pieces of a withdrawn refund stay given back",
        PIECES,
        "OrderLine.objects.filter(pk=row.line_id).update(refunded_quantity=left, refunded_sent_quantity=of_sent)",
        "pass",
    ),
    Mutant(
        "the rest of a whole refund is forgotten beside one made at the provider",
        REFUNDS,
        "if rest and order.status == Status.REFUND_DUE:",
        "if False:",
    ),
    Mutant(
        "an order goes where it may not",
        ORDERS,
        "if to not in TRANSITIONS[before]:\n"
        '        raise IllegalTransition(f"{order.number} is {before.label.lower()} '
        'and cannot become {to.label.lower()}.")\n'
        "    if not order.may_become(to):",
        "if False:",
    ),
    Mutant("an order that is collected can be sent", ORDERS, "if not order.may_become(to):", "if False:"),
    Mutant(
        "a refunded order is not closed",
        REFUNDS,
        "if order.status == Status.REFUND_DUE and received and sent >= received:",
        "if False:",
    ),
    # The ledger.
    Mutant(
        "money that came back is not booked",
        REFUNDS,
        "if refund.provider_id:\n            book_came_back(refund)",
        "if refund.provider_id and False:\n            book_came_back(refund)",
    ),
    Mutant(
        "money that came back for returned goods is not booked",
        REFUNDS,
        "if refund.provider_id:\n            book_came_back(refund)",
        "if refund.provider_id and not refund.return_request_id:\n            book_came_back(refund)",
    ),
    Mutant(
        "what was promised is not booked",
        REFUNDS,
        "book_promised(refund)\n    refund_send_task",
        "refund_send_task",
    ),
    Mutant(
        "what was sent is booked once for all sendings",
        BOOKS,
        'key = f"refund:{refund.pk}:sent:{refund.sending}"',
        'key = f"refund:{refund.pk}:sent"',
    ),
    Mutant(
        "a withdrawn refund stays promised in the ledger",
        BOOKS,
        "into=Account.REFUNDS_DUE, out_of=Account.ORDERS)",
        "into=Account.REFUNDS_DUE, out_of=Account.PROVIDER)",
    ),
    Mutant("a dispute that was won is not booked", BOOKS, "if dispute.status == Dispute.Status.WON:", "if False:"),
    # Coupons and placing.
    Mutant(
        "a given-up order keeps its coupon",
        COUPONS,
        'Coupon.objects.filter(pk=row.coupon_id).update(used=F("used") - 1)',
        "pass",
    ),
    Mutant(
        "an expired order keeps its discount",
        ORDERS,
        "redemptions_release(order.reference)\n    return order_move(order, Status.EXPIRED",
        "return order_move(order, Status.EXPIRED",
    ),
    Mutant("a late payment uses no coupon", ORDERS, "redemptions_retake(order.reference)\n        return", "return"),
    Mutant("a coupon's use is not noted", ORDERS, "_redeem(order, quote, customer)\n", "\n"),
    Mutant(
        "the same key places a second order",
        ORDERS,
        "if known:\n            return _same_order(known, buyer)",
        "if known:\n            full_key += secrets.token_hex(4)",
    ),
    # Parcels.
    Mutant("a parcel with a refunded piece leaves", SHIPMENTS, "        _require_owed(order, shipment)\n", ""),
    Mutant(
        "refunded pieces are packed", "shipments/selectors.py", "line.owed - counts.get", "line.quantity - counts.get"
    ),
    Mutant(
        "a refunded order's parcel leaves",
        SHIPMENTS,
        "(State.PREPARED, State.LABELLED) or order.status not in SENDABLE:",
        "(State.PREPARED, State.LABELLED):",
    ),
    Mutant("a piece that was sent is put into stock by a refund", PIECES, "if of_sent and piece.restock:", "if False:"),
]
