from django_tasks import task

from pasargad.background.periodic import periodic

from . import collecting, services


@periodic(seconds=30)
@task()
def views_store() -> int:
    """Write the views that wait in Redis."""
    return collecting.views_store()


@periodic(seconds=600)
@task()
def figures_refresh() -> list[str]:
    """Renew the figures."""
    return services.figures_refresh()


@periodic(seconds=3600)
@task()
def hits_drop() -> int:
    """Drop raw views whose time is over."""
    return services.hits_drop()
