from django_tasks import task

from pasargad.background.periodic import periodic

from . import idempotency


@periodic(seconds=3600)
@task()
def answers_prune() -> int:
    """Forget stored answers that nobody asks for again."""
    return idempotency.answers_prune()
