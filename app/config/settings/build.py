"""For building a release: collects static files and reads migrations; needs no environment, database or Redis."""

from config.env import env

from .workbench import WORKBENCH

# The environment of the building machine must not change what is built.
env.source = WORKBENCH

from .base import *  # noqa: E402, F403
from .from_environment import *  # noqa: E402, F403

DEBUG = False

env.require_valid()
