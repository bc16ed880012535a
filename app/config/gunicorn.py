"""Settings of the application server: `gunicorn --config config/gunicorn.py --bind unix:… config.wsgi`.

gthread with eight threads keeps slow clients from blocking fast ones (docs/decisions has the measurement).
"""

import importlib
import os
from pathlib import Path
from typing import Any

from config.env import Env
from config.groups import read_server

_env = Env()
_server = read_server(_env)
_env.require_valid()

wsgi_app = "config.wsgi:application"
worker_class = "gthread"
workers = _server.workers or 2 * (os.cpu_count() or 1)
threads = _server.threads
timeout = _server.timeout_seconds
graceful_timeout = _server.graceful_timeout_seconds
keepalive = _server.keepalive_seconds
backlog = _server.backlog
max_requests = _server.max_requests
max_requests_jitter = _server.max_requests_jitter
# The proxy's group may use the socket, nobody else; the directory hands its group on.
umask = 0o007
# The proxy is the only client of the socket, so its headers may be believed.
forwarded_allow_ips = "*"
# Requests are logged by the shop itself, as JSON.
accesslog = None
errorlog = "-"
# systemd steers the server; another way in would only be another thing to guard.
control_socket_disable = True
# A heartbeat file on a busy disk would stop workers that are healthy.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108


def on_starting(server: Any) -> None:
    """Read the code once, before the workers are forked: a slot is ready sooner and takes less memory.

    `preload_app` would do the same, but shows no more of a RuntimeError than its words.
    """
    try:
        importlib.import_module(wsgi_app.partition(":")[0])
    except Exception:
        server.log.exception("the shop cannot start")
        raise SystemExit(1) from None
