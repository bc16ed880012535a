from django_tasks import task

from pasargad.background.periodic import periodic

from . import services


@periodic(seconds=120)
@task()
def labels_settle() -> int:
    """Find out what became of labels whose purchase got no answer."""
    return services.labels_settle()
