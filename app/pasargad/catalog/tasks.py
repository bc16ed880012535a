from django_tasks import task

from pasargad.background.periodic import periodic

from . import indexing


@periodic(seconds=300)
@task()
def search_index() -> int:
    """Bring the search up to date with what changed past it."""
    return indexing.index_stale()


@periodic(seconds=86400)
@task()
def search_words_forget() -> int:
    """Forget words that no product has any more."""
    return indexing.words_forget()
