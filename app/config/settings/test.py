"""For tests: real PostgreSQL and Redis, named by the environment; mails stay in memory."""

import os
from dataclasses import replace

from config.env import env

from .workbench import WORKBENCH

# The names under which `python3 -m tests.services run` tells of the servers it started.
SERVICES = {
    "REDIS_CACHE_URL": "CACHE_URL",
    "REDIS_SESSIONS_URL": "SESSION_REDIS_URL",
    "REDIS_LIMITS_URL": "LIMITS_REDIS_URL",
}
found = {name: os.environ[given] for name, given in SERVICES.items() if given in os.environ}
env.source = {**WORKBENCH, **os.environ, **found, "DJANGO_SETTINGS_MODULE": "config.settings.test"}

from .base import *  # noqa: E402, F403
from .from_environment import *  # noqa: E402, F403

DEBUG = False
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# A test may need no collected static files; that the manifest is checked is a test of its own.
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}  # noqa: F405

# Tests ask more often than any shopper; the limits have tests of their own.
RATE_LIMITS = replace(RATE_LIMITS, enabled=False)  # noqa: F405
ACCOUNT_RATE_LIMITS = MFA_RATE_LIMITS = False
# Most tests of staff's pages are not about signing in; that a second factor is needed has tests of its own.
STAFF_SECOND_FACTOR = False

env.require_valid()
