"""Judge where a restore ended, by the row that the shop's host writes each minute: what is lost, what is too much."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg2.extensions import connection as Connection

from .facts import HEARTBEAT
from .windows import told

# Rows come once a minute.
BEAT_SECONDS = 60.0
# A row is written, and committed a little later: a target in between has only the one before.
COMMIT_SECONDS = 5.0
# Rows tell their time rounded to milliseconds.
ROUNDING = 0.001
NEWEST = f"SELECT coalesce(extract(epoch FROM max(at)), 0)::float8 FROM {HEARTBEAT}"  # noqa: S608
NO_ROWS = "the restored database holds no heartbeat, so nobody can tell what was lost"


@dataclass(frozen=True)
class Seen:
    """The newest heartbeat of a restored database, Unix seconds, 0 for none."""

    newest: float


def look_at_heartbeats(connection: Connection) -> Seen:
    """Find the newest row of all, whatever its number."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (HEARTBEAT,))
        if not (cursor.fetchone() or (False,))[0]:
            return Seen(0.0)
        cursor.execute(NEWEST)
        return Seen(*(cursor.fetchone() or (0.0,)))


def judge_end(seen: Seen, aim: float, *, bound: float, beaten: float, exact: bool) -> tuple[float, list[str]]:
    """Return how many seconds before `aim` were lost, and what is wrong with where the restore ended.

    No row may be later than `bound`. `beaten` is the newest row up to `aim` in the living database, 0 for none: where
    that was silent itself (the host was down), its silence is no loss. An `exact` restore must hold that very row.
    """
    if not seen.newest:
        return float("inf"), [NO_ROWS]
    if seen.newest > bound + ROUNDING:
        return 0.0, [f"it holds a heartbeat of {told(seen.newest)}, which is after its target {told(bound)}"]
    silence = max(0.0, aim - beaten - BEAT_SECONDS) if beaten else 0.0
    lost = max(0.0, aim - seen.newest - silence)
    missed = seen.newest < beaten - ROUNDING and beaten < aim - COMMIT_SECONDS
    if exact and missed:
        return lost, [f"it ends with the heartbeat of {told(seen.newest)}; that of {told(beaten)} is missing"]
    return lost, []
