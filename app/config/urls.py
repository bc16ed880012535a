"""Every address of the shop."""

from allauth.account.decorators import secure_admin_login
from django.conf import settings
from django.conf.urls.i18n import i18n_patterns
from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    *i18n_patterns(
        path("", include("pasargad.storefront.urls")),
        path("account/", include("pasargad.customers.urls")),
        path("", include("pasargad.reminders.urls")),
        prefix_default_language=False,
    ),
    path("", include("pasargad.storefront.fixed_urls")),
    path("account/", include("pasargad.customers.fixed_urls")),
    path("webhooks/", include("pasargad.payments.urls")),
    path("webhooks/", include("pasargad.shipments.urls")),
    path("api/", include("pasargad.api.urls")),
    path("", include("pasargad.health.urls")),
]

if settings.FEATURES.admin:
    admin.site.site_header = settings.ADMIN_SITE_HEADER
    admin.site.site_title = settings.ADMIN_SITE_TITLE
    admin.site.index_title = settings.ADMIN_INDEX_TITLE
    admin.site.site_url = settings.SITE_URL
    # Staff sign in where everybody does: with limits, second factors and passkeys.
    admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
    urlpatterns.append(path(f"{settings.ADMIN_URL_PATH}/", admin.site.urls))

if settings.DEBUG:
    from django.conf.urls.static import static

    urlpatterns += static(settings.MEDIA_URL, document_root=settings.MEDIA_ROOT)

handler400 = "pasargad.storefront.errors.bad_request"
handler403 = "pasargad.storefront.errors.forbidden"
handler404 = "pasargad.storefront.errors.not_found"
handler500 = "pasargad.storefront.errors.server_error"
