from django_tasks import task

from pasargad.background.periodic import periodic

from . import refunds, services


@task()
def refund_send_task(refund_id: int) -> None:
    """Give money back."""
    refunds.refund_send(refund_id)


@periodic(seconds=60)
@task()
def payments_reconcile() -> int:
    """Ask about payments that nobody told us about, and send again refunds without an answer."""
    return services.payments_reconcile() + refunds.refunds_resend()


@periodic(seconds=30)
@task()
def orders_expire() -> int:
    """Free goods of orders that were not paid in time."""
    return services.orders_expire()
