from django_tasks import task

from pasargad.background.periodic import periodic

from . import services


@periodic(seconds=86400)
@task()
def verify_books() -> int:
    """Ask every invariant, and tell the administrators of what is wrong."""
    return services.books_verify()
