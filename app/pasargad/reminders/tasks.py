from django_tasks import task

from pasargad.background.periodic import periodic

from . import services


@periodic(seconds=900)
@task()
def carts_recall() -> int:
    """Remind those who asked for it of carts they left."""
    return services.carts_recall()
