from django_tasks import task

from pasargad.background.periodic import periodic

from . import bookkeeping, refunds, services


@task()
def refund_send_task(refund_id: int) -> None:
    """Give money back."""
    refunds.refund_send(refund_id)


@task()
def refunds_check_task(attempt_id: int) -> None:
    """Ask the provider for all refunds of a payment."""
    refunds.refunds_check(attempt_id)


@periodic(seconds=60)
@task()
def payments_reconcile() -> int:
    """Read what no webhook brought, ask about silent payments, and send again refunds without an answer."""
    return services.events_pull() + services.payments_reconcile() + refunds.refunds_resend()


@periodic(seconds=600)
@task()
def books_catch_up() -> int:
    """Book what code without a ledger left out."""
    return bookkeeping.books_catch_up()


@periodic(seconds=30)
@task()
def orders_expire() -> int:
    """Free goods of orders that were not paid in time."""
    return services.orders_expire()
