from django_tasks import task

from pasargad.background.periodic import periodic
from pasargad.background.urgency import URGENT

from . import bookkeeping, refunds, services


@task(priority=URGENT)
def refund_send_task(refund_id: int) -> None:
    """Give money back."""
    refunds.refund_send(refund_id)


@task(priority=URGENT)
def refunds_check_task(attempt_id: int) -> None:
    """Ask the provider for all refunds of a payment."""
    refunds.refunds_check(attempt_id)


# Three duties and three tasks: one that hangs or fails keeps neither of the others.
@periodic(seconds=60)
@task(priority=URGENT)
def events_pull() -> int:
    """Read what no webhook brought."""
    return services.events_pull()


@periodic(seconds=60)
@task(priority=URGENT)
def payments_reconcile() -> int:
    """Ask about silent payments."""
    return services.payments_reconcile()


@periodic(seconds=60)
@task(priority=URGENT)
def refunds_resend() -> int:
    """Send again refunds without an answer."""
    return refunds.refunds_resend()


@periodic(seconds=600)
@task()
def books_catch_up() -> int:
    """Book what code without a ledger left out."""
    return bookkeeping.books_catch_up()


@periodic(seconds=30)
@task(priority=URGENT)
def orders_expire() -> int:
    """Free goods of orders that were not paid in time."""
    return services.orders_expire()
