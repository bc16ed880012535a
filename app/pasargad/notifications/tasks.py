from django_tasks import task

from pasargad.background.periodic import periodic

from . import services


@task()
def mail_send_task(mail_id: int) -> bool:
    """Send one mail."""
    return services.mail_send(mail_id)


@periodic(seconds=15)
@task()
def mails_send_due() -> int:
    """Send mails whose earlier attempts failed."""
    return services.mails_send_due()


@periodic(seconds=60)
@task()
def orders_remind() -> int:
    """Tell who left without paying that the goods are held."""
    return services.orders_remind()
