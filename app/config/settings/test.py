"""For tests: real PostgreSQL and Redis, named by the environment; mails stay in memory."""

import os

from config.env import env

from .workbench import WORKBENCH

env.source = {**WORKBENCH, **os.environ, "DJANGO_SETTINGS_MODULE": "config.settings.test"}

from .base import *  # noqa: E402, F403
from .from_environment import *  # noqa: E402, F403

DEBUG = False
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# A test may need no collected static files; that the manifest is checked is a test of its own.
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}  # noqa: F405

env.require_valid()
