"""Which mails are about what: their keys begin with the order, or with a word and the number of a row."""

from __future__ import annotations

from collections.abc import Collection
from functools import reduce
from operator import or_

from django.db.models import CharField, F, Func, Q, QuerySet, Value

from .models import Mail
from .steps import TO_STAFF


def mails_to(
    *, recipients: Collection[str], order_ids: Collection[int], things: Collection[str] = ()
) -> QuerySet[Mail]:
    """Return the mails to somebody: to any of these addresses, or to any at all about these orders or things.

    An order's mails went to the address that was typed for it, which need not be one that the person has now. A thing
    is what a key names anywhere, such as `user-7`. What is written to staff about an order is not the buyer's.
    """
    about: Func = Func(F("key"), Value(":"), Value(1), function="split_part", output_field=CharField())
    wanted = [
        Q(order_key__in=[str(pk) for pk in order_ids]) & ~Q(kind__in=TO_STAFF),
        *(Q(recipient__iexact=recipient) for recipient in recipients),
        *(Q(key__startswith=f"{thing}-") | Q(key__contains=f"-{thing}-") for thing in things),
    ]
    return Mail.objects.alias(order_key=about).filter(reduce(or_, wanted))
