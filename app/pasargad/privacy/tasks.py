from django.conf import settings
from django_tasks import task

from pasargad.background.periodic import periodic
from pasargad.cart.services import carts_forget
from pasargad.notifications.services import mails_forget

from . import retention

DAY = 86400


@periodic(seconds=DAY)
@task()
def accounts_forget() -> int:
    """Forget accounts that were never confirmed."""
    return retention.unverified_accounts_forget(days=settings.PRIVACY.unverified_days)


@periodic(seconds=DAY)
@task()
def carts_of_guests_forget() -> int:
    """Forget guests' carts that were left."""
    return carts_forget(days=settings.PRIVACY.carts_days)


@periodic(seconds=DAY)
@task()
def sessions_forget() -> None:
    """Forget sessions that have expired."""
    retention.sessions_forget()


@periodic(seconds=DAY)
@task()
def sign_ins_forget() -> int:
    """Forget sign-ins of long ago."""
    return retention.sign_ins_forget(days=settings.PRIVACY.sign_ins_days)


@periodic(seconds=DAY)
@task()
def mails_sent_forget() -> int:
    """Forget which mails were sent long ago, and what the payment provider told."""
    days = settings.PRIVACY.mails_days
    return mails_forget(days=days) + retention.provider_events_forget(days=days)
