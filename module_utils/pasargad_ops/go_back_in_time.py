"""Put the database back to a restore point: the last resort when a schema change can neither be served nor mended.

The migrator does it, whose role owns what the shop has made and nothing else: extensions and rights of the schema,
which belong to the server's administrator, stay as they are. It cannot end the sessions of the shop's own role, so the
shop is closed first (the edge shows its maintenance page, workers stop), and whoever still writes is waited for.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from . import audit, shell
from .artefact import read_release
from .config import ReleaseConfig
from .files import read_lines
from .lease import Owner
from .masking import mask, secret_values
from .outcome import OperationError, Outcome, Refused
from .restore_point import command, connection_environment
from .state import load_state
from .whole_host import whole_host

STOP_WORKERS = "systemctl stop 'pasargad-worker@*'"
NAME = re.compile(r"before-([0-9a-f]{12})-(.+)\.dump")
# A dump is compressed, the script that is made of it is not.
SCRIPT_RATIO = 12
# What the server's administrator has made: the migrator may not touch it, and it is the same before and after.
NOT_OURS = re.compile(
    r"^\d+; \d+ \d+ (EXTENSION|COMMENT - EXTENSION|SCHEMA|COMMENT - SCHEMA|ACL - SCHEMA|DEFAULT ACL) "
)
# The names are sorted so that all are known before the first is dropped, which may take others with it.
# Not --clean, which knows only what the dump has: tables of the newer release would stay, and hold on to others.
# Its patience is longer than a transaction of the shop may sit idle (roles/postgres).
EMPTY = """SET lock_timeout = '90s';
SET statement_timeout = 0;
SET client_min_messages = warning;
DO $$
DECLARE each record;
BEGIN
  FOR each IN SELECT oid::regclass::text AS name, relkind FROM pg_class WHERE relnamespace = 'public'::regnamespace
    AND relowner = current_user::regrole AND relkind IN ('r', 'p', 'f', 'v', 'm') AND NOT relispartition
    ORDER BY name
  LOOP
    EXECUTE format('DROP %s IF EXISTS %s CASCADE', CASE each.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN
      'MATERIALIZED VIEW' WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END, each.name);
  END LOOP;
  FOR each IN SELECT oid::regclass::text AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace
    AND relowner = current_user::regrole AND relkind = 'S' ORDER BY name
  LOOP
    EXECUTE format('DROP SEQUENCE IF EXISTS %s CASCADE', each.name);
  END LOOP;
  FOR each IN SELECT oid::regprocedure::text AS name FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    AND proowner = current_user::regrole ORDER BY name
  LOOP
    EXECUTE format('DROP ROUTINE IF EXISTS %s CASCADE', each.name);
  END LOOP;
  FOR each IN SELECT oid::regtype::text AS name FROM pg_type WHERE typnamespace = 'public'::regnamespace
    AND typowner = current_user::regrole AND typtype IN ('e', 'd', 'r') ORDER BY name
  LOOP
    EXECUTE format('DROP TYPE IF EXISTS %s CASCADE', each.name);
  END LOOP;
END $$;
"""


@dataclass(frozen=True)
class RestorePoint:
    """A dump that a deploy made before it changed the schema, and the release that served then, as far as known."""

    path: Path
    release: str
    minutes: float
    megabytes: float
    served: str

    def plan(self, config: ReleaseConfig) -> str:
        """Say what going back to it takes and costs."""
        lines = [
            f"{self.path}: from before release {self.release}, {self.megabytes:.1f} MB",
            f"orders, payments and accounts of the last {self.minutes:.0f} minutes would be LOST",
            f"the shop is closed meanwhile; afterwards deploy {self.served}",
            f"in a fleet first, on every other web host: touch {config.maintenance_file}; {STOP_WORKERS}",
            f"go: {command(self.path)} --yes",
        ]
        return "\n".join(lines)


def find(config: ReleaseConfig, dump: Path) -> RestorePoint:
    """Read about a restore point; raises Refused when it is none."""
    dump = dump if dump.is_absolute() else config.backup_dir / dump
    name = NAME.fullmatch(dump.name)
    if name is None or not dump.is_file():
        there = sorted(path.name for path in config.backup_dir.glob("before-*.dump"))
        raise Refused(f"{dump} is no restore point", hint=f"one of: {', '.join(there) or 'there is none'}")
    about = dump.stat()
    minutes = (time.time() - about.st_mtime) / 60
    return RestorePoint(dump, name[1], minutes, about.st_size / 1e6, served_before(config, about.st_mtime))


def served_before(config: ReleaseConfig, moment: float) -> str:
    """Say which release served at that moment, as the audit has it."""
    ends = [line for line in read_lines(audit.audit_path(config)) if line["at"] <= moment]
    for line in reversed(ends):
        if line["result"] in ("success", "rolled back", "kept") and line.get("release"):
            release = read_release(config.releases / line["release"])
            version = line.get("version") or (release.version if release else "")
            return f"version {version} (release {line['release']})" if version else f"release {line['release']}"
    return "the version that served before it"


def restore(
    config: ReleaseConfig, dump: Path, owner: Owner, *, living: tuple[str, ...] = (), yes: bool = False
) -> Outcome:
    """Put the database back to a restore point and leave the shop closed, for its release has to follow; without
    `yes` only say what that means.

    The whole change is one transaction: when it fails, the database is as it was and the shop opens again.
    """
    point = find(config, dump)
    if not yes:
        return Outcome(False, point.plan(config))
    with whole_host(config, owner, living=living, doing=f"restore {point.path.name}", dump=point.path.name):
        load(config, point.path)
    opened = f"; then open the shop: rm {config.maintenance_file}" if config.edge else ""
    return Outcome(
        True,
        f"the database is as it was {point.minutes:.0f} minutes ago; the shop is closed\n"
        f"next: check out {point.served} and run deploy.yml{opened}",
    )


def load(config: ReleaseConfig, dump: Path) -> None:
    """Replace what the migrator's role owns by what the dump has, in one transaction."""
    env = active_env(config)
    disk = os.statvfs(config.backup_dir)
    needed = dump.stat().st_size * SCRIPT_RATIO
    if disk.f_bavail * disk.f_frsize < needed:
        raise Refused(f"{config.backup_dir} lacks the {needed // 2**20} MiB for the script", hint=shell.NO_SPACE)
    connection = connection_environment(config, env)
    with tempfile.TemporaryDirectory(dir=config.backup_dir, prefix=".restore-") as name:
        directory = Path(name)
        listing = shell.run(["pg_restore", "--list", str(dump)], timeout=600).stdout
        wanted, script, empty = directory / "list", directory / "script.sql", directory / "empty.sql"
        wanted.write_text("".join(f"{line}\n" for line in listing.splitlines() if not NOT_OURS.match(line)))
        empty.write_text(EMPTY)
        shell.run(["pg_restore", f"--use-list={wanted}", "--file", str(script), str(dump)], timeout=3600)
        # A newer client writes a setting that an older server does not know; this is its default.
        shell.run(["sed", "-i", "1,40{/^SET transaction_timeout = 0;$/d}", str(script)])
        try:
            end_own_sessions(connection)
            shell.run(
                [*PSQL, "--single-transaction", "-f", str(empty), "-f", str(script)], env=connection, timeout=7200
            )
        except OperationError as error:
            raise OperationError(
                f"the database is as it was: {mask(error.message, secret_values(config, env))}",
                hint=error.hint
                or "who holds it: SELECT pid, usename, xact_start, query FROM pg_stat_activity; "
                "stop the workers of the other hosts, then run the same command again",
            ) from error


PSQL = ("psql", "-X", "-q", "-w", "-v", "ON_ERROR_STOP=1")
# The login's settings make it act as the owner; its own sessions belong to the login itself.
END_SESSIONS = (
    "SET ROLE NONE; SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
    "WHERE datname = current_database() AND usename = session_user AND pid <> pg_backend_pid()"
)


def end_own_sessions(connection: dict[str, str]) -> None:
    """End the migrator's other sessions, a migration that hangs for example; those of the shop are not its to end."""
    shell.run([*PSQL, "-c", END_SESSIONS], env=connection, timeout=60)


def active_env(config: ReleaseConfig) -> str:
    """Return the environment of what serves, which names the database."""
    serving = load_state(config).serving
    if serving is None:
        raise Refused("no release serves yet", hint="run deploy.yml")
    return serving.env
