"""Everything that the environment decides, by the same code in production, on a workbench and in tests.

`python3 -m config.env` lists the names with their types. Whoever imports this calls `env.require_valid()` afterwards.
"""

from typing import Any
from urllib.parse import urlsplit

from config import groups
from config.env import env

from .accounts import SOCIAL_LOGINS
from .base import CONTENT_SECURITY_POLICY, MANIFEST_STATICFILES, SILENCED_SYSTEM_CHECKS
from .base import LANGUAGES as _languages

env.begin("core")
env.text("DJANGO_SETTINGS_MODULE", "config.settings.production on a server", pattern=r"config\.settings\.\w+")
PASARGAD_SLOT = env.runtime("PASARGAD_SLOT", "blue or green", default="local")
PASARGAD_RELEASE = env.runtime("PASARGAD_RELEASE", "id of the release that runs", default="local")
PASARGAD_FAULT = env.runtime("PASARGAD_FAULT", "tests only: point at which the process ends itself", default="")
PASARGAD_FAULTS_ALLOWED = env.runtime("PASARGAD_FAULTS_ALLOWED", "yes: PASARGAD_FAULT may be set here", default="no")
PASARGAD_ENVIRONMENT = env.text(
    "PASARGAD_ENVIRONMENT", "production, staging, lab …; tags logs and errors", pattern=r"[a-z0-9-]+"
)
SECRET_KEY = env.text("SECRET_KEY", "signs cookies and links", secret=True, min_length=50)
SECRET_KEY_FALLBACKS = env.items(
    "SECRET_KEY_FALLBACKS", "former secret keys, while one is changed", empty=True, secret=True
)
ALLOWED_HOSTS = env.items("ALLOWED_HOSTS", "host names answered to", pattern=r"[A-Za-z0-9.:\[\]-]+")
SITE_URL = env.url("SITE_URL", "the shop's public address, for links in mails", schemes=["https", "http"]).rstrip("/")
LANGUAGE_CODE = env.text("LANGUAGE_CODE", "language of the shop", choices=[code for code, _name in _languages])
TIME_ZONE = env.text("TIME_ZONE", "for dates shown to people, for example Europe/Berlin", pattern=r"[A-Za-z0-9_+/-]+")
STATIC_URL = env.url("STATIC_URL", "address of static files: /static/ or a CDN", schemes=["https"], path=True)
MEDIA_URL = env.url("MEDIA_URL", "address of uploads on the local disk", schemes=["https"], path=True)
MEDIA_ROOT = env.text("MEDIA_ROOT", "directory of uploads on the local disk")
FILE_UPLOAD_TEMP_DIR = (
    env.text("FILE_UPLOAD_TEMP_DIR", "where large uploads wait; empty: the system's", empty=True) or None
)
DATA_UPLOAD_MAX_MEMORY_SIZE = env.integer(
    "DATA_UPLOAD_MAX_BYTES", "largest body of a form without files", minimum=65536
)
DATA_UPLOAD_MAX_NUMBER_FIELDS = env.integer("DATA_UPLOAD_MAX_FIELDS", "fields in a form", minimum=100)

env.begin("admin")
ADMIN_URL_PATH = env.text(
    "ADMIN_URL_PATH", "where staff log in, without slashes around", pattern=r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*"
)
ADMIN_EMAIL = env.email("ADMIN_EMAIL", "the first administrator; hears of given-up mails")
ADMIN_SITE_HEADER = env.text("ADMIN_SITE_HEADER", "heading of the staff's pages")
ADMIN_SITE_TITLE = env.text("ADMIN_SITE_TITLE", "browser title of the staff's pages")
ADMIN_INDEX_TITLE = env.text("ADMIN_INDEX_TITLE", "heading of the staff's first page")
ADMINS = [("Administrator", ADMIN_EMAIL)]

env.begin("security")
SECURE_SSL_REDIRECT = env.boolean("SECURE_SSL_REDIRECT", "send http requests to https")
SECURE_HSTS_SECONDS = env.integer("SECURE_HSTS_SECONDS", "how long browsers insist on https; 31536000 is a year")
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.boolean("SECURE_HSTS_INCLUDE_SUBDOMAINS", "subdomains too")
SECURE_HSTS_PRELOAD = env.boolean("SECURE_HSTS_PRELOAD", "allow browsers to ship the name in their lists")
SECURE_REFERRER_POLICY = env.text(
    "SECURE_REFERRER_POLICY",
    "what other sites learn of the page left",
    choices=["strict-origin-when-cross-origin", "same-origin", "strict-origin", "origin", "no-referrer"],
)
SECURE_CROSS_ORIGIN_OPENER_POLICY = env.text(
    "SECURE_CROSS_ORIGIN_OPENER_POLICY", "isolation of our windows", choices=["same-origin", "same-origin-allow-popups"]
)
CSRF_TRUSTED_ORIGINS = env.items("CSRF_TRUSTED_ORIGINS", "origins whose forms are accepted", pattern=r"https?://[^/]+")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = env.boolean("COOKIES_SECURE", "cookies travel over https only")
PASSWORD_MIN_LENGTH = env.integer("PASSWORD_MIN_LENGTH", "shortest password accepted", minimum=8, maximum=128)
_csp_report_only = env.boolean("CSP_REPORT_ONLY", "true: report violations of the content policy, do not block")
_csp_report_url = env.url(
    "CSP_REPORT_URL", "where browsers report violations; may be empty", schemes=["https"], empty=True
)
SESSION_COOKIE_AGE = env.integer("SESSION_COOKIE_AGE_SECONDS", "how long staff stay logged in", minimum=300)

# To leave subdomains or the preload list out is the operator's decision, written down in the environment.
SILENCED_SYSTEM_CHECKS = [
    *SILENCED_SYSTEM_CHECKS,
    *([] if SECURE_HSTS_INCLUDE_SUBDOMAINS else ["security.W005"]),
    *([] if SECURE_HSTS_PRELOAD else ["security.W021"]),
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": PASSWORD_MIN_LENGTH},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

env.begin("database")
DB_LOCK_TIMEOUT_MS = env.integer("DB_LOCK_TIMEOUT_MS", "longest wait for a row while an order is placed", minimum=10)
DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": env.text("DB_NAME", "database"),
        "USER": env.text("DB_USER", "role of the running shop"),
        "PASSWORD": env.text("DB_PASSWORD", "its password", secret=True),
        "HOST": env.text("DB_HOST", "host, or directory of the unix socket"),
        "PORT": str(env.integer("DB_PORT", "port of PgBouncer or PostgreSQL", minimum=1, maximum=65535)),
        "CONN_MAX_AGE": env.integer("DB_CONN_MAX_AGE_SECONDS", "how long a connection is used again"),
        "CONN_HEALTH_CHECKS": env.boolean("DB_CONN_HEALTH_CHECKS", "test a connection before it is used again"),
        # PgBouncer's transaction pooling hands the next statement to another server connection.
        "DISABLE_SERVER_SIDE_CURSORS": env.boolean("DB_DISABLE_SERVER_SIDE_CURSORS", "true behind PgBouncer"),
        "OPTIONS": {
            "connect_timeout": env.integer("DB_CONNECT_TIMEOUT_SECONDS", "longest wait for a connection", minimum=1),
            "application_name": env.text("DB_APPLICATION_NAME", "shown in pg_stat_activity", pattern=r"[\w.-]{1,40}"),
            "sslmode": env.text(
                "DB_SSLMODE",
                "TLS to the database",
                choices=["disable", "prefer", "require", "verify-ca", "verify-full"],
            ),
            "sslrootcert": env.text(
                "DB_SSLROOTCERT", "authority of the database's certificate; may be empty", empty=True
            ),
        },
    }
}
if not DATABASES["default"]["OPTIONS"]["sslrootcert"]:
    del DATABASES["default"]["OPTIONS"]["sslrootcert"]

env.begin("redis")
_redis_schemes = ["redis", "rediss", "unix"]
REDIS_LIMITS_URL = env.url("REDIS_LIMITS_URL", "counts of rate limits", schemes=_redis_schemes, secret=True)
_redis_connections = env.integer("REDIS_MAX_CONNECTIONS", "connections of one process to each database", minimum=1)
_redis_connect_timeout = env.number("REDIS_CONNECT_TIMEOUT_SECONDS", "longest wait for a connection", minimum=0.01)
_redis_socket_timeout = env.number("REDIS_SOCKET_TIMEOUT_SECONDS", "longest wait for an answer", minimum=0.01)
_redis_health_seconds = env.integer("REDIS_HEALTH_CHECK_SECONDS", "an idle connection is tested after this")


def _cache(url: str, prefix: str, timeout: int, *, ignore_errors: bool) -> dict[str, Any]:
    """Describe one logical Redis; keys start with its prefix because its user may touch no others."""
    return {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": url,
        "KEY_PREFIX": prefix,
        "TIMEOUT": timeout,
        "OPTIONS": {
            "IGNORE_EXCEPTIONS": ignore_errors,
            "LOG_IGNORED_EXCEPTIONS": True,
            "SOCKET_CONNECT_TIMEOUT": _redis_connect_timeout,
            "SOCKET_TIMEOUT": _redis_socket_timeout,
            "CONNECTION_POOL_KWARGS": {
                "max_connections": _redis_connections,
                "health_check_interval": _redis_health_seconds,
            },
        },
    }


env.begin("cache")
_ignore_errors = env.boolean("CACHE_IGNORE_ERRORS", "true: pages work, slower, while Redis is away")
CACHES = {
    "default": _cache(
        env.url("REDIS_CACHE_URL", "the cache", schemes=_redis_schemes, secret=True),
        "cache",
        env.integer("CACHE_TIMEOUT_SECONDS", "how long cached values live", minimum=1),
        ignore_errors=_ignore_errors,
    ),
    # Sessions are stored in the database; Redis only spares reading them there.
    "sessions": _cache(
        env.url("REDIS_SESSIONS_URL", "copies of sessions", schemes=_redis_schemes, secret=True),
        "sessions",
        SESSION_COOKIE_AGE,
        ignore_errors=_ignore_errors,
    ),
    "limits": _cache(REDIS_LIMITS_URL, "limits", 86400, ignore_errors=False),
}
PAGES = groups.read_pages(env)

env.begin("email")
EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
EMAIL_HOST = env.text("EMAIL_HOST", "SMTP server")
EMAIL_PORT = env.integer("EMAIL_PORT", "587 with STARTTLS, 465 with TLS", minimum=1, maximum=65535)
EMAIL_HOST_USER = env.text("EMAIL_HOST_USER", "may be empty: no login", empty=True)
EMAIL_HOST_PASSWORD = env.text("EMAIL_HOST_PASSWORD", "may be empty: no login", empty=True, secret=True)
EMAIL_USE_TLS = env.boolean("EMAIL_USE_TLS", "STARTTLS")
EMAIL_USE_SSL = env.boolean("EMAIL_USE_SSL", "TLS from the first byte")
EMAIL_TIMEOUT = env.integer("EMAIL_TIMEOUT_SECONDS", "longest wait for the server", minimum=1)
EMAIL_SUBJECT_PREFIX = env.text(
    "EMAIL_SUBJECT_PREFIX", "before subjects of mails to administrators; may be empty", empty=True
)
DEFAULT_FROM_EMAIL = env.email("DEFAULT_FROM_EMAIL", "sender of mails to shoppers", display_name=True)
SERVER_EMAIL = env.email("SERVER_EMAIL", "sender of mails to administrators", display_name=True)
if EMAIL_USE_TLS and EMAIL_USE_SSL:
    env.problem("EMAIL_USE_SSL", "and EMAIL_USE_TLS exclude each other: set one to false")
MAIL_DELIVERY = groups.read_mail_delivery(env)

SHOP = groups.read_shop(env)
STRIPE = groups.read_stripe(env)
SHIPPING = groups.read_shipping(env)
GOSHIPPO = groups.read_goshippo(env)
BUSINESS = groups.read_business(env)
RATE_LIMITS = groups.read_rate_limits(env)
FEATURES = groups.read_features(env)
BACKGROUND = groups.read_tasks(env)
PRIVACY = groups.read_privacy(env)
SERVER = groups.read_server(env)
MONITORING = groups.read_monitoring(env)
ANALYTICS = groups.read_analytics(env)

STORAGE = groups.read_storage(env)
STORAGES = {
    "default": {
        "BACKEND": "pasargad.storefront.storage.BucketStorage"
        if STORAGE.bucket
        else "django.core.files.storage.FileSystemStorage"
    },
    "staticfiles": {"BACKEND": MANIFEST_STATICFILES},
}

env.begin("social_login")
SOCIALACCOUNT_PROVIDERS: dict[str, dict[str, Any]] = {}
for _provider, (_options, _origin_of_it) in SOCIAL_LOGINS.items():
    _client_id = env.text(f"{_provider}_CLIENT_ID", "empty: no login with this provider", empty=True)
    _secret = env.text(f"{_provider}_CLIENT_SECRET", "empty: no login with this provider", empty=True, secret=True)
    if bool(_client_id) != bool(_secret):
        env.problem(f"{_provider}_CLIENT_ID", f"and {_provider}_CLIENT_SECRET must be set together")
    if _client_id and _secret:
        SOCIALACCOUNT_PROVIDERS[_provider.lower()] = {
            "APPS": [{"client_id": _client_id, "secret": _secret}],
            **_options,
        }

# One limit for attempts, beside the library's own for each account; both count in the shop's own place for them.
_login = RATE_LIMITS.login
ACCOUNT_RATE_LIMITS: dict[str, str] | bool = RATE_LIMITS.enabled and {
    "login": f"{_login.limit}/{_login.seconds}s/ip",
    "signup": f"{_login.limit}/{_login.seconds}s/ip",
}
MFA_RATE_LIMITS: dict[str, str] | bool = RATE_LIMITS.enabled and {}
MFA_TOTP_ISSUER = BUSINESS.name

env.begin("logging")
_levels = ["INFO", "DEBUG", "WARNING", "ERROR"]
_formatter = env.text("LOG_FORMAT", "json for machines, text for people", choices=["json", "text"])
LOG_REQUESTS = env.boolean("LOG_REQUESTS", "one line for each request")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {"()": "config.logs.JsonFormatter", "environment": PASARGAD_ENVIRONMENT},
        "text": {"format": "{asctime} {levelname} {name} {message}", "style": "{"},
    },
    "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": _formatter}},
    "root": {"handlers": ["stdout"], "level": env.text("LOG_LEVEL", "of the shop and its libraries", choices=_levels)},
    "loggers": {
        "django": {
            "handlers": [],
            "level": env.text("LOG_LEVEL_DJANGO", "of Django", choices=_levels),
            "propagate": True,
        },
        # RequestLog writes one line for each request; Django's would be doubles.
        "django.request": {"handlers": [], "level": "ERROR", "propagate": True},
    },
}

env.begin("sentry")
SENTRY_DSN = env.url(
    "SENTRY_DSN", "where errors are sent; empty: nowhere", schemes=["https", "http"], empty=True, secret=True
)
SENTRY_OPTIONS = {
    "environment": PASARGAD_ENVIRONMENT,
    "release": PASARGAD_RELEASE,
    "sample_rate": env.number("SENTRY_ERROR_SAMPLE_RATE", "share of errors sent", maximum=1.0),
    "traces_sample_rate": env.number("SENTRY_TRACES_SAMPLE_RATE", "share of requests traced", maximum=1.0),
    "profiles_sample_rate": env.number("SENTRY_PROFILES_SAMPLE_RATE", "share of traces profiled", maximum=1.0),
    "max_breadcrumbs": env.integer("SENTRY_MAX_BREADCRUMBS", "events kept before an error", maximum=1000),
    "send_default_pii": env.boolean("SENTRY_SEND_PII", "true: send addresses and user names; false is right"),
}


def _origin(url: str) -> list[str]:
    """Return the scheme and host of an address, as content policies name it; nothing for an empty one."""
    parts = urlsplit(url)
    return [f"{parts.scheme}://{parts.netloc}"] if parts.netloc else []


_policy = {
    **CONTENT_SECURITY_POLICY["DIRECTIVES"],
    # Browsers hold a form's redirect to this rule too: checkout and logins with other accounts redirect to providers.
    "form-action": [
        *CONTENT_SECURITY_POLICY["DIRECTIVES"]["form-action"],
        *_origin(STRIPE.payment_page_url),
        *(SOCIAL_LOGINS[_name.upper()][1] for _name in SOCIALACCOUNT_PROVIDERS),
    ],
    "img-src": [
        *CONTENT_SECURITY_POLICY["DIRECTIVES"]["img-src"],
        *_origin(STORAGE.public_url),
        *_origin(STORAGE.endpoint_url if STORAGE.bucket and not STORAGE.public_url else ""),
        *_origin(STATIC_URL),
    ],
}
for _directive in ("script-src", "style-src"):
    _policy[_directive] = [*_policy[_directive], *_origin(STATIC_URL)]
if _csp_report_url:
    _policy["report-uri"] = [_csp_report_url]
if _csp_report_only:
    CONTENT_SECURITY_POLICY_REPORT_ONLY: dict[str, Any] | None = {"DIRECTIVES": _policy}
    CONTENT_SECURITY_POLICY = None  # type: ignore[assignment]
else:
    CONTENT_SECURITY_POLICY = {"DIRECTIVES": _policy}
