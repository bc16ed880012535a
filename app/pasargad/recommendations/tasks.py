from django_tasks import task

from pasargad.background.periodic import periodic

from . import services


@periodic(seconds=21600)
@task()
def recommendations_refresh() -> int:
    """Work out what is bought together and what is similar."""
    return services.recommendations_refresh()
