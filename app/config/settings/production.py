"""The shop on a server: every value comes from the environment, and nothing has a default."""

from config.env import env

from .base import *  # noqa: F403
from .from_environment import *  # noqa: F403
from .from_environment import PASARGAD_FAULT, PASARGAD_FAULTS_ALLOWED, SENTRY_DSN, SENTRY_OPTIONS

DEBUG = False

if PASARGAD_FAULT and PASARGAD_FAULTS_ALLOWED != "yes":
    env.problem("PASARGAD_FAULT", "would end the shop's processes; only a rehearsal sets PASARGAD_FAULTS_ALLOWED=yes")

env.require_valid()

if SENTRY_DSN:
    import sentry_sdk

    sentry_sdk.init(dsn=SENTRY_DSN, **SENTRY_OPTIONS)
