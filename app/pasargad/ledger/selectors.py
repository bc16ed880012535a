"""What the books say."""

from __future__ import annotations

from django.db.models import Sum

from .models import Posting


def balances(*, subject: str = "") -> dict[tuple[str, str], int]:
    """Return (account, currency) → balance in minor units, of everything or of one subject."""
    postings = Posting.objects.filter(entry__subject=subject) if subject else Posting.objects.all()
    rows = postings.order_by().values_list("account", "entry__currency").annotate(total=Sum("amount_minor"))
    return {(account, currency): total for account, currency, total in rows}
