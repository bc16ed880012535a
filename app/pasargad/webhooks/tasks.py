from django_tasks import task

from pasargad.background.periodic import periodic
from pasargad.background.urgency import PATIENT

from . import services


@task(priority=PATIENT)
def delivery_send_task(delivery_id: int) -> bool:
    """Send one event to one endpoint."""
    return services.delivery_send(delivery_id)


@periodic(seconds=15)
@task(priority=PATIENT)
def deliveries_send_due() -> int:
    """Send events whose earlier attempts failed."""
    return services.deliveries_send_due()


@periodic(seconds=3600)
@task()
def log_prune() -> int:
    """Forget events that are over."""
    return services.log_prune()
