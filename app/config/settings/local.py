"""The shop on a workbench: the environment may overrule any of the harmless values."""

import os

from config.env import env

from .workbench import WORKBENCH

env.source = {**WORKBENCH, **os.environ}

from .base import *  # noqa: E402, F403
from .from_environment import *  # noqa: E402, F403

DEBUG = True
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}  # noqa: F405

env.require_valid()
