"""What is the same wherever the shop runs; reads nothing from the environment."""

from pathlib import Path

from csp.constants import NONE, SELF
from django.utils.translation import gettext_lazy as _

from .accounts import *  # noqa: F403

BASE_DIR = Path(__file__).resolve().parents[2]

INSTALLED_APPS = [
    "pasargad.flags",
    "pasargad.background",
    "pasargad.audit",
    "pasargad.ledger",
    "pasargad.accounts",
    "pasargad.catalog",
    "pasargad.cart",
    "pasargad.tax",
    "pasargad.shipping",
    "pasargad.promotions",
    "pasargad.orders",
    "pasargad.reviews",
    "pasargad.wishlist",
    "pasargad.recommendations",
    "pasargad.payments",
    "pasargad.shipments",
    "pasargad.notifications",
    "pasargad.webhooks",
    "pasargad.books",
    "pasargad.reminders",
    "pasargad.privacy",
    "pasargad.analytics",
    "pasargad.storefront",
    "pasargad.customers",
    "pasargad.api",
    "pasargad.health",
    "pasargad.staff",
    "pasargad.staff.adminconfig.StaffAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.google",
    "allauth.socialaccount.providers.facebook",
    "allauth.socialaccount.providers.github",
    "django_tasks",
    "django_tasks_db",
    "csp",
]

# The slot and release headers come first: every answer carries them, errors of later middleware included.
MIDDLEWARE = [
    "pasargad.health.middleware.ReleaseHeaders",
    "pasargad.health.middleware.RequestLog",
    "pasargad.storefront.middleware.PathLanguage",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "pasargad.storefront.middleware.PermissionsPolicy",
    "pasargad.storefront.middleware.Maintenance",
    "pasargad.storefront.middleware.LoginLimit",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    # Pages that shared caches keep cannot carry a token: shoppers' forms are guarded by their origin instead.
    "django.middleware.csrf.CsrfViewMiddleware",
    "pasargad.storefront.middleware.OriginCheck",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "pasargad.audit.middleware.StaffActs",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "pasargad.customers.middleware.PersonalCookies",
    "pasargad.customers.middleware.StaffSecondFactor",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "pasargad.storefront.context.shop",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "accounts.User"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]

USE_TZ = True
USE_I18N = True
LANGUAGES = [("en", _("English")), ("fa", _("Persian"))]
LOCALE_PATHS = [BASE_DIR / "locale"]

STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
]
MANIFEST_STATICFILES = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"

# Enqueued in the transaction of their cause: a task exists if and only if its cause was committed.
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": ["default"]}}

MESSAGE_STORAGE = "django.contrib.messages.storage.cookie.CookieStorage"
SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"
SESSION_CACHE_ALIAS = "sessions"
SESSION_COOKIE_NAME = "pp_session"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_NAME = "pp_csrf"
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "pasargad.storefront.errors.form_refused"

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
# Probes come over the slot's own socket, where nobody speaks TLS.
SECURE_REDIRECT_EXEMPT = [r"^health/"]
X_FRAME_OPTIONS = "DENY"
PERMISSIONS_POLICY = "camera=(), geolocation=(), microphone=(), usb=(), payment=(self)"

# No inline scripts or styles at all: a nonce in a page that shared caches keep would protect nobody.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "script-src": [SELF],
        "style-src": [SELF],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

# Logged requests: RequestLog writes one line each, so Django's own lines would be doubles.
SILENCED_SYSTEM_CHECKS: list[str] = []
