from django.conf import settings
from django_tasks import task

from pasargad.background.periodic import periodic

from . import services


@periodic(seconds=86400)
@task()
def wishlists_forget() -> int:
    """Forget guests' lists whose cookies are long gone."""
    return services.wishlists_forget(days=1 + settings.SHOP.cart_cookie_age_seconds // 86400)
