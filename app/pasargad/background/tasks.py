from django_tasks import task

from . import services
from .periodic import periodic


@periodic(seconds=3600)
@task()
def prune_finished() -> int:
    """Forget tasks that finished long ago."""
    return services.prune_finished()
