"""The typed settings that the shop's own code reads: one frozen dataclass a group, one reader each.

Django's and the libraries' own names are set in `settings/from_environment.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from config.env import Env, Rate

COUNTRY = "[A-Z]{2}"


@dataclass(frozen=True)
class Server:
    """The application server; `workers` 0 means two for each core."""

    workers: int
    threads: int
    timeout_seconds: int
    graceful_timeout_seconds: int
    keepalive_seconds: int
    backlog: int
    max_requests: int
    max_requests_jitter: int


def read_server(env: Env) -> Server:
    env.begin("server")
    return Server(
        workers=env.integer("GUNICORN_WORKERS", "worker processes; 0 means two for each core", maximum=256),
        threads=env.integer("GUNICORN_THREADS", "threads of each worker process", minimum=1, maximum=256),
        timeout_seconds=env.integer("GUNICORN_TIMEOUT_SECONDS", "a worker silent for longer is replaced", minimum=1),
        graceful_timeout_seconds=env.integer(
            "GUNICORN_GRACEFUL_TIMEOUT_SECONDS", "how long running requests may finish at a stop", minimum=1
        ),
        keepalive_seconds=env.integer(
            "GUNICORN_KEEPALIVE_SECONDS", "idle connections stay open; our proxy keeps none", minimum=1
        ),
        backlog=env.integer("GUNICORN_BACKLOG", "connections that may wait to be accepted", minimum=64),
        max_requests=env.integer("GUNICORN_MAX_REQUESTS", "requests after which a worker is replaced; 0 means never"),
        max_requests_jitter=env.integer("GUNICORN_MAX_REQUESTS_JITTER", "random spread of the former"),
    )


@dataclass(frozen=True)
class Pages:
    """How long shared caches may keep an anonymous page (seconds)."""

    shared_seconds: int
    stale_seconds: int
    navigation_seconds: int


def read_pages(env: Env) -> Pages:
    env.begin("cache")
    return Pages(
        shared_seconds=env.integer("PAGE_CACHE_SHARED_SECONDS", "how long the proxy may serve an anonymous page"),
        stale_seconds=env.integer(
            "PAGE_CACHE_STALE_SECONDS", "how long it may serve it stale while it fetches a new one"
        ),
        navigation_seconds=env.integer("CACHE_NAVIGATION_SECONDS", "how long the category tree is kept in the cache"),
    )


@dataclass(frozen=True)
class Shop:
    """Sizes and limits of the catalogue, the cart and orders; money in minor units of `currency`."""

    currency: str
    page_size: int
    low_stock_from: int
    cart_cookie_age_seconds: int
    cart_max_lines: int
    cart_max_quantity: int
    reservation_seconds: int
    order_number_prefix: str
    tax_basis_points: int
    tax_inclusive: bool


def read_shop(env: Env) -> Shop:
    env.begin("shop")
    return Shop(
        currency=env.text("SHOP_CURRENCY", "three small letters, for example usd", pattern="[a-z]{3}"),
        page_size=env.integer("SHOP_PAGE_SIZE", "products on a list page", minimum=1, maximum=200),
        low_stock_from=env.integer("SHOP_LOW_STOCK_FROM", "at this number or fewer, pages say how many are left"),
        cart_cookie_age_seconds=env.integer(
            "CART_COOKIE_AGE_SECONDS", "how long a guest's cart is remembered", minimum=60
        ),
        cart_max_lines=env.integer("CART_MAX_LINES", "different goods in one cart", minimum=1, maximum=500),
        cart_max_quantity=env.integer(
            "CART_MAX_QUANTITY", "pieces of one article in one cart", minimum=1, maximum=10000
        ),
        reservation_seconds=env.integer("RESERVATION_SECONDS", "how long unpaid goods are held", minimum=60),
        order_number_prefix=env.text("ORDER_NUMBER_PREFIX", "starts every order number", pattern="[A-Z]{1,6}"),
        tax_basis_points=env.integer("TAX_BASIS_POINTS", "hundredths of a per cent: 2000 is 20 %", maximum=10000),
        tax_inclusive=env.boolean("TAX_INCLUSIVE", "true: prices contain the tax; false: it is added at checkout"),
    )


@dataclass(frozen=True)
class Address:
    name: str
    street: str
    city: str
    state: str
    zip: str
    country: str
    phone: str
    email: str


@dataclass(frozen=True)
class Shipping:
    """One rate for every destination, by weight, where the shop has no shipping zones of its own."""

    origin: Address
    countries: tuple[str, ...]
    base_minor: int
    per_kilogram_minor: int
    free_from_minor: int
    handling_days: int
    transit_days: int
    pickup_enabled: bool


def read_shipping(env: Env) -> Shipping:
    env.begin("shipping")
    return Shipping(
        origin=_read_address(env, "SHIPPING_ORIGIN", "where parcels leave and are picked up"),
        countries=tuple(env.items("SHIPPING_COUNTRIES", "where we ship to, for example US,CA", pattern=COUNTRY)),
        base_minor=env.integer("SHIPPING_BASE_MINOR", "price of sending anything, in minor units"),
        per_kilogram_minor=env.integer("SHIPPING_PER_KILOGRAM_MINOR", "added for each kilogram begun, in minor units"),
        free_from_minor=env.integer("SHIPPING_FREE_FROM_MINOR", "goods worth this much ship free; 0 means never"),
        handling_days=env.integer("SHIPPING_HANDLING_DAYS", "working days until goods in stock leave", maximum=60),
        transit_days=env.integer("SHIPPING_TRANSIT_DAYS", "working days on the way", maximum=90),
        pickup_enabled=env.boolean("SHIPPING_PICKUP_ENABLED", "shoppers may collect at the origin"),
    )


@dataclass(frozen=True)
class Goshippo:
    """The carrier's account; an empty key means that staff take parcels to the counter."""

    api_key: str
    webhook_secret: str
    live_mode: bool
    api_base: str


def read_goshippo(env: Env) -> Goshippo:
    env.begin("shipping")
    goshippo = Goshippo(
        api_key=env.text(
            "GOSHIPPO_API_KEY",
            "key of the Shippo account; empty: no labels are bought",
            empty=True,
            secret=True,
        ),
        webhook_secret=env.text(
            "GOSHIPPO_WEBHOOK_SECRET", "signs Shippo's messages; empty: none is believed", empty=True, secret=True
        ),
        live_mode=env.boolean("GOSHIPPO_LIVE_MODE", "true: real labels; the key must agree"),
        api_base=env.url(
            "GOSHIPPO_API_BASE", "https://api.goshippo.com or a stand-in", schemes=["https", "http"]
        ).rstrip("/"),
    )
    mode = "live" if goshippo.live_mode else "test"
    if goshippo.api_key and f"_{mode}_" not in goshippo.api_key:
        env.problem(
            "GOSHIPPO_API_KEY", f"is not a {mode} key, but GOSHIPPO_LIVE_MODE is {str(goshippo.live_mode).lower()}"
        )
    return goshippo


def _read_address(env: Env, prefix: str, what: str) -> Address:
    return Address(
        name=env.text(f"{prefix}_NAME", f"name: {what}"),
        street=env.text(f"{prefix}_STREET", f"street and number: {what}"),
        city=env.text(f"{prefix}_CITY", f"city: {what}"),
        state=env.text(f"{prefix}_STATE", f"state or province, may be empty: {what}", empty=True),
        zip=env.text(f"{prefix}_ZIP", f"postal code: {what}"),
        country=env.text(f"{prefix}_COUNTRY", f"country, two capital letters: {what}", pattern=COUNTRY),
        phone=env.text(f"{prefix}_PHONE", f"telephone, may be empty: {what}", empty=True),
        email=env.email(f"{prefix}_EMAIL", f"mail address: {what}"),
    )


@dataclass(frozen=True)
class Business:
    """Who sells: printed on pages, mails and invoices."""

    address: Address
    legal_name: str
    tax_id: str
    security_email: str

    @property
    def name(self) -> str:
        return self.address.name


def read_business(env: Env) -> Business:
    env.begin("business")
    return Business(
        address=_read_address(env, "BUSINESS", "who sells"),
        legal_name=env.text("BUSINESS_LEGAL_NAME", "the company's registered name"),
        tax_id=env.text("BUSINESS_TAX_ID", "tax or VAT number, may be empty", empty=True),
        security_email=env.email("SECURITY_CONTACT_EMAIL", "who hears of weaknesses; shown in security.txt"),
    )


@dataclass(frozen=True)
class Stripe:
    """The payment provider; an empty `payment_page_url` means its own script on our payment page."""

    secret_key: str
    publishable_key: str
    webhook_secrets: tuple[str, ...]
    webhook_tolerance_seconds: int
    live_mode: bool
    api_base: str
    ca_bundle: str
    payment_page_url: str
    timeout_seconds: int
    max_network_retries: int
    statement_descriptor: str


def read_stripe(env: Env) -> Stripe:
    env.begin("stripe")
    stripe = Stripe(
        secret_key=env.text(
            "STRIPE_SECRET_KEY", "secret key of the account", secret=True, pattern=r"[sr]k_(live|test)_\w+"
        ),
        publishable_key=env.text("STRIPE_PUBLISHABLE_KEY", "publishable key", pattern=r"pk_(live|test)_\w+"),
        webhook_secrets=tuple(
            env.items(
                "STRIPE_WEBHOOK_SECRET", "signing secret; two while it is changed", secret=True, pattern=r"whsec_\S+"
            )
        ),
        webhook_tolerance_seconds=env.integer(
            "STRIPE_WEBHOOK_TOLERANCE_SECONDS", "oldest signature accepted", minimum=1
        ),
        live_mode=env.boolean("STRIPE_LIVE_MODE", "true: real money; keys must agree"),
        api_base=env.url("STRIPE_API_BASE", "https://api.stripe.com or a stand-in", schemes=["https", "http"]).rstrip(
            "/"
        ),
        ca_bundle=env.text("STRIPE_CA_BUNDLE", "file with authorities to trust; empty: the library's own", empty=True),
        payment_page_url=env.url(
            "STRIPE_PAYMENT_PAGE_URL",
            "a page that takes cards for us; empty: Stripe.js",
            schemes=["https", "http"],
            empty=True,
        ).rstrip("/"),
        timeout_seconds=env.integer("STRIPE_TIMEOUT_SECONDS", "longest wait for an answer", minimum=1, maximum=80),
        max_network_retries=env.integer("STRIPE_MAX_NETWORK_RETRIES", "tries after a lost connection", maximum=5),
        statement_descriptor=env.text(
            "STRIPE_STATEMENT_DESCRIPTOR",
            "shown on card statements, may be empty",
            empty=True,
            pattern=r"[A-Za-z0-9 .-]{2,22}|",
        ),
    )
    mode = "live" if stripe.live_mode else "test"
    for name, key in (("STRIPE_SECRET_KEY", stripe.secret_key), ("STRIPE_PUBLISHABLE_KEY", stripe.publishable_key)):
        if key and f"_{mode}_" not in key:
            env.problem(name, f"is not a {mode} key, but STRIPE_LIVE_MODE is {str(stripe.live_mode).lower()}")
    return stripe


@dataclass(frozen=True)
class MailDelivery:
    """How often a mail is tried; the wait doubles from `retry_seconds`."""

    max_attempts: int
    retry_seconds: int
    reply_to: str
    orders_bcc: tuple[str, ...]


def read_mail_delivery(env: Env) -> MailDelivery:
    env.begin("email")
    return MailDelivery(
        max_attempts=env.integer(
            "EMAIL_MAX_ATTEMPTS", "tries before a mail is given up and reported", minimum=1, maximum=50
        ),
        retry_seconds=env.integer("EMAIL_RETRY_SECONDS", "wait after the first failure; doubles each time", minimum=1),
        reply_to=env.email("EMAIL_REPLY_TO", "where answers go; may be empty", empty=True),
        orders_bcc=tuple(env.items("EMAIL_ORDERS_BCC", "who gets a copy of order mails; may be empty", empty=True)),
    )


@dataclass(frozen=True)
class Storage:
    """Where uploads live: an S3 bucket, or the local disk while `bucket` is empty."""

    bucket: str
    prefix: str
    endpoint_url: str
    region: str
    access_key_id: str
    secret_access_key: str
    addressing_style: str
    ca_bundle: str
    public_url: str


def read_storage(env: Env) -> Storage:
    env.begin("storage")
    storage = Storage(
        bucket=env.text("S3_MEDIA_BUCKET", "bucket for uploads; empty: the local disk", empty=True),
        prefix=env.text("S3_MEDIA_PREFIX", "folder in the bucket, may be empty", empty=True),
        endpoint_url=env.url("S3_ENDPOINT_URL", "S3 service", schemes=["https", "http"]),
        region=env.text("S3_REGION", "region of the bucket"),
        access_key_id=env.text("S3_ACCESS_KEY_ID", "needed with a bucket", empty=True),
        secret_access_key=env.text("S3_SECRET_ACCESS_KEY", "needed with a bucket", empty=True, secret=True),
        addressing_style=env.text(
            "S3_ADDRESSING_STYLE", "how the bucket is named in addresses", choices=["auto", "path", "virtual"]
        ),
        ca_bundle=env.text("S3_CA_BUNDLE", "file with authorities to trust; empty: the library's own", empty=True),
        public_url=env.url(
            "CDN_MEDIA_URL", "public address of the bucket; empty: its own", schemes=["https"], empty=True
        ),
    )
    if storage.bucket and not (storage.access_key_id and storage.secret_access_key):
        env.problem("S3_ACCESS_KEY_ID", "and S3_SECRET_ACCESS_KEY must be set when S3_MEDIA_BUCKET is")
    return storage


@dataclass(frozen=True)
class RateLimits:
    """How often one client (an IPv4 address, a /64 of IPv6) may do what costs us something."""

    enabled: bool
    trusted_proxies: int
    login: Rate
    cart: Rate
    checkout: Rate
    order_lookup: Rate
    search: Rate


def read_rate_limits(env: Env) -> RateLimits:
    env.begin("rate_limits")
    return RateLimits(
        enabled=env.boolean("RATE_LIMIT_ENABLED", "false switches all of them off"),
        trusted_proxies=env.integer("TRUSTED_PROXY_COUNT", "proxies of ours in front; 0: believe no header", maximum=5),
        login=env.rate("RATE_LIMIT_LOGIN", "attempts to log in"),
        cart=env.rate("RATE_LIMIT_CART", "changes of a cart"),
        checkout=env.rate("RATE_LIMIT_CHECKOUT", "orders placed"),
        order_lookup=env.rate("RATE_LIMIT_ORDER_LOOKUP", "order pages asked for"),
        search=env.rate("RATE_LIMIT_SEARCH", "searches"),
    )


@dataclass(frozen=True)
class Features:
    """What is switched on."""

    maintenance: bool
    checkout: bool
    search: bool
    made_to_order: bool
    admin: bool
    metrics: bool


def read_features(env: Env) -> Features:
    env.begin("features")
    return Features(
        maintenance=env.boolean("FEATURE_MAINTENANCE", "true: shoppers see a friendly 503 page"),
        checkout=env.boolean("FEATURE_CHECKOUT", "false: goods can be seen, not bought"),
        search=env.boolean("FEATURE_SEARCH", "the search field"),
        made_to_order=env.boolean("FEATURE_MADE_TO_ORDER", "sell what is printed after the order"),
        admin=env.boolean("FEATURE_ADMIN", "the staff's pages"),
        metrics=env.boolean("FEATURE_METRICS", "/metrics for those who know METRICS_TOKEN"),
    )


@dataclass(frozen=True)
class Tasks:
    """Background work: finished tasks are kept for a while, those of a dead worker are given to another."""

    retention_days: int
    stuck_seconds: int
    periodic_seconds: int


def read_tasks(env: Env) -> Tasks:
    env.begin("tasks")
    return Tasks(
        retention_days=env.integer("TASKS_RETENTION_DAYS", "how long finished tasks are kept", minimum=1),
        stuck_seconds=env.integer(
            "TASKS_STUCK_SECONDS", "a task running longer is given to another worker", minimum=60
        ),
        periodic_seconds=env.integer(
            "TASKS_PERIODIC_SECONDS", "how often workers look for work that is due", minimum=1
        ),
    )


@dataclass(frozen=True)
class Privacy:
    """For how long what is about people is kept, and when carts are recalled (0: never)."""

    unverified_days: int
    carts_days: int
    sign_ins_days: int
    mails_days: int
    cart_reminder_hours: int


def read_privacy(env: Env) -> Privacy:
    env.begin("privacy")
    return Privacy(
        unverified_days=env.integer(
            "RETENTION_UNVERIFIED_DAYS", "accounts that were never confirmed are deleted after this", minimum=1
        ),
        carts_days=env.integer("RETENTION_CARTS_DAYS", "carts of guests untouched for so long are deleted", minimum=1),
        sign_ins_days=env.integer(
            "RETENTION_SIGN_INS_DAYS", "records of sign-ins whose session ended are deleted after this", minimum=1
        ),
        mails_days=env.integer(
            "RETENTION_MAILS_DAYS", "records of mails that were sent are deleted after this", minimum=1
        ),
        cart_reminder_hours=env.integer(
            "CART_REMINDER_HOURS", "a full cart is recalled after this, to those who asked; 0 means never", maximum=720
        ),
    )


@dataclass(frozen=True)
class Analytics:
    """Figures of the shop's own: raw views are dropped when they are old, and counted by day before."""

    retention_days: int


def read_analytics(env: Env) -> Analytics:
    env.begin("analytics")
    return Analytics(
        retention_days=env.integer("ANALYTICS_RETENTION_DAYS", "how long single page views are kept", minimum=1)
    )


@dataclass(frozen=True)
class Monitoring:
    """What the health and metrics pages need; `backup_status_file` is written by the backup job."""

    metrics_token: str
    database_timeout_ms: int
    redis_timeout_ms: int
    queue_lag_seconds: int
    slow_request_ms: int
    slow_query_ms: int
    backup_expected: bool
    backup_status_file: str
    backup_max_age_hours: int


def read_monitoring(env: Env) -> Monitoring:
    env.begin("monitoring")
    monitored = {
        "metrics_token": env.text("METRICS_TOKEN", "opens /metrics and /health/detail", secret=True, min_length=20),
        "database_timeout_ms": env.integer(
            "HEALTH_DATABASE_TIMEOUT_MS", "readiness waits so long for a row", minimum=10
        ),
        "redis_timeout_ms": env.integer("HEALTH_REDIS_TIMEOUT_MS", "readiness waits so long for Redis", minimum=10),
        "queue_lag_seconds": env.integer(
            "HEALTH_QUEUE_LAG_SECONDS", "waiting tasks older than this are reported", minimum=1
        ),
        "slow_request_ms": env.integer("LOG_SLOW_REQUEST_MS", "slower requests are logged as warnings; 0: none"),
        "slow_query_ms": env.integer("LOG_SLOW_QUERY_MS", "slower queries are logged; 0: none"),
    }
    env.begin("backup")
    return Monitoring(
        **monitored,
        backup_expected=env.boolean("BACKUP_ENABLED", "true: a missing or old backup is reported by /health/detail"),
        backup_status_file=env.text("BACKUP_STATUS_FILE", "JSON file of the last backup; may be empty", empty=True),
        backup_max_age_hours=env.integer("BACKUP_MAX_AGE_HOURS", "an older backup is reported", minimum=1),
    )
