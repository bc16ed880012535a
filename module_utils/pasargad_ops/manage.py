"""Run the shop's management commands as the shop's user, with the environment of a slot or of the migrator."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from . import shell, units
from .artefact import read_release
from .config import ReleaseConfig
from .masking import mask, secret_values
from .outcome import OperationError, Refused

MIGRATOR = "migrator.env"
PYTHON = "/usr/bin/python3"
DATABASE_AWAY = (
    "could not connect",
    "Connection refused",
    "connection to server",
    "server login has been failing",
    "server closed the connection",
    "the database system is",
)


def release_paths(config: ReleaseConfig, release_id: str) -> tuple[Path, Path]:
    """Return the directory of the project and that of its dependencies."""
    directory = config.releases / release_id
    release = read_release(directory)
    if release is None:
        raise Refused(f"release {release_id} is not on this host", hint="run deploy.yml")
    app = directory / "app"
    return app, config.deps / release.deps_name(config.python_tag)


def unit_properties(config: ReleaseConfig, release_id: str, env: str, *, migrator: bool) -> dict[str, str | list[str]]:
    """Return the systemd properties under which a command of the release runs; secrets come from files that systemd
    reads.
    """
    app, deps = release_paths(config, release_id)
    files = [str(config.env_dir / f"{env}.env")]
    if migrator:
        files.append(str(config.env_dir / MIGRATOR))
    return {
        "User": config.user,
        "Group": config.group,
        "WorkingDirectory": str(app),
        "EnvironmentFile": files,
        "Environment": [
            f"PYTHONPATH={deps}:{config.lib_dir}",
            "PYTHONDONTWRITEBYTECODE=1",
            "PYTHONUNBUFFERED=1",
            f"PASARGAD_RELEASE={release_id}",
        ],
        "UMask": "0022",
        "NoNewPrivileges": "yes",
        "PrivateTmp": "yes",
        "ProtectSystem": "strict",
        "ReadWritePaths": str(config.srv_dir / "media"),
    }


def manage(
    config: ReleaseConfig,
    release_id: str,
    env: str,
    arguments: list[str],
    *,
    migrator: bool = False,
    stdin: str | None = None,
    timeout: float = 120,
    check: bool = True,
) -> shell.Finished:
    """Run `manage.py ARGUMENTS` and return its output; secrets go through files and standard input, never through
    arguments.
    """
    properties = unit_properties(config, release_id, env, migrator=migrator)
    options = ["--quiet", "--collect", "--wait", "--pipe", *units.property_options(properties)]
    command = ["systemd-run", *options, PYTHON, "manage.py", *arguments]
    done = shell.run(command, stdin=stdin, timeout=timeout, check=False)
    if check and done.code != 0:
        lines = [*done.stdout.splitlines(), *done.stderr.splitlines()]
        raise command_error(f"manage.py {' '.join(arguments)}", lines, secret_values(config, env))
    return done


def command_error(what: str, lines: Sequence[str], secrets: Sequence[str]) -> OperationError:
    """Turn the output of a failed command of the shop into an error with its cause and its last lines."""
    shown = [mask(line, secrets) for line in lines if line.strip()]
    return OperationError(
        f"{what} failed: {last_exception(shown) or (shown[-1] if shown else 'no output')}",
        hint=database_hint("\n".join(lines))
        or "read the lines above; mend the release or its environment; run deploy.yml again",
        details={"log": shown[-30:]},
    )


def last_exception(lines: Sequence[str]) -> str:
    """Return the last line that a Python traceback ended with, or an empty text."""
    ends = re.compile(r"[\w.]*(Error|Exception|Refused|Exit|Timeout|Invalid\w*|DoesNotExist|NotAvailable|Detected)\b")
    return next((line for line in reversed(lines) if ends.match(line)), "")


def database_hint(output: str) -> str:
    """Return the mend for the commonest refusals of the database and the environment."""
    # The commonest words come last: they stand in front of the others, too.
    if any(words in output for words in ("too many connections", "too many clients", "connection slots")):
        return "the database's connections are used up: raise postgres_max_connections, then run deploy.yml again"
    if "password authentication failed" in output or "SASL authentication failed" in output:
        return "the vault's database passwords differ from the server's: run deploy.yml -e pasargad_converge=full"
    if any(words in output for words in DATABASE_AWAY):
        return "is the database up? systemctl status postgresql pgbouncer; then pasargad_db_address, pasargad_db_port"
    if "permission denied" in output:
        return "the migrator's rights are incomplete: run deploy.yml -e pasargad_converge=full"
    return ""
