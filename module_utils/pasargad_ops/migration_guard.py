"""Run `manage.py migrate` while holding the database's own lock, so that one migration runs in the whole fleet.

This is the program of the transient migration unit: it runs as the shop's user inside the release's `app/`, with the
migrator's settings in its environment. Django takes no such lock itself. The lock belongs to the connection, so it
goes with this process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any

LOCK_NUMBER = 7_277_274_723  # "pasargad" on a telephone's keys, shortened; every migration of the shop takes it
WAIT_SECONDS = 600.0
BUSY = 75


def connect() -> Any:
    """Open a connection with the settings that the shop itself would use."""
    import psycopg2  # comes with the release

    optional: dict[str, Any] = {
        "sslmode": os.environ.get("DB_SSLMODE"),
        "sslrootcert": os.environ.get("DB_SSLROOTCERT"),
    }
    connection = psycopg2.connect(
        dbname=os.environ["DB_NAME"],
        user=os.environ["DB_USER"],
        password=os.environ["DB_PASSWORD"],
        host=os.environ["DB_HOST"],
        port=os.environ["DB_PORT"],
        connect_timeout=10,
        application_name="pasargad-migrate",
        **{name: value for name, value in optional.items() if value},
    )
    connection.autocommit = True
    return connection


def main() -> int:
    connection = connect()
    deadline = time.monotonic() + WAIT_SECONDS
    with connection.cursor() as cursor:
        while True:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK_NUMBER])
            if cursor.fetchone()[0]:
                break
            if time.monotonic() >= deadline:
                print(f"another migration has held the database for {WAIT_SECONDS:.0f} s", file=sys.stderr)
                return BUSY
            time.sleep(0.5)
    return subprocess.run([sys.executable, "manage.py", "migrate", "--no-input", "--no-color"], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
