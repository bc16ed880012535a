"""Look at everything a deploy needs before it begins, and say all that is wrong at once; changes nothing."""

from __future__ import annotations

import os
import socket
import time
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from . import shell, units
from .artefact import Release, read_release
from .config import ReleaseConfig
from .env_file import EnvFileError, parse
from .files import read_json
from .manage import database_hint
from .masking import mask, secret_values
from .migrate import Plan, refusal
from .outcome import OperationError, Refused
from .restore_point import connection_environment
from .state import State, load_state
from .work import newest_env

OK, WARNING, ERROR = "ok", "warning", "error"
CONVERGE = "run deploy.yml -e pasargad_converge=full"
POOLER = "pgbouncer.service"
# Longer than PgBouncer lets a query wait for a server: only then does it say why there is none.
POOLER_SECONDS = 45.0
POOLER_HIDES = ("server login has been failing", "server login failed", "query_wait_timeout")
SPARE_MEMORY_BYTES = 128 * 2**20
CERTIFICATE_DAYS = 14
CLOCK_SECONDS = 5.0


@dataclass(frozen=True)
class Finding:
    """What one check found: its level, the thing, what is the case, and for a bad one the mend."""

    level: str
    thing: str
    words: str
    mend: str = ""

    def line(self) -> str:
        mark = {OK: "ok     ", WARNING: "warning", ERROR: "ERROR  "}[self.level]
        return f"{mark} {self.thing:<12} {self.words}" + (f"; {self.mend}" if self.mend else "")


@dataclass(frozen=True)
class Circumstances:
    """What the checks look at: the host, the environment, and perhaps the release and the controller's clock."""

    config: ReleaseConfig
    state: State
    env: str
    settings: dict[str, str]
    release: Release | None = None
    controller_time: float = 0.0


def look_around(
    config: ReleaseConfig, *, env: str = "", release: Release | None = None, controller_time: float = 0.0
) -> list[Finding]:
    """Run every check; one that cannot be made is an error of its own, not the end of the others."""
    try:
        env = env or newest_env(config)
        settings = parse((config.env_dir / f"{env}.env").read_text())
    except (OperationError, EnvFileError, OSError) as error:
        return [Finding(ERROR, "environment", str(error), CONVERGE)]
    around = Circumstances(config, load_state(config), env, settings, release, controller_time)
    findings = [Finding(OK, "environment", f"{env}, {len(settings)} settings")]
    for check in CHECKS:
        try:
            findings += check(around)
        except (OperationError, OSError, ValueError) as error:
            findings.append(Finding(ERROR, check.__name__, mask(str(error), secret_values(config, env)), CONVERGE))
    return findings


def require_no_errors(findings: Iterable[Finding]) -> None:
    """Raise Refused with all errors at once; one error keeps its own mend as the next command."""
    errors = [finding for finding in findings if finding.level == ERROR]
    if len(errors) == 1:
        raise Refused(f"{errors[0].thing}: {errors[0].words}", hint=errors[0].mend)
    if errors:
        lines = [f"  {finding.thing}: {finding.words}; {finding.mend}" for finding in errors]
        raise Refused("\n".join(["this host is not fit for a deploy:", *lines]), hint="mend these, then run deploy.yml")


def disk(around: Circumstances) -> Iterator[Finding]:
    for path in (around.config.srv_dir, around.config.backup_dir, around.config.state_dir):
        found = os.statvfs(path if path.exists() else path.parent)
        free, share = found.f_bavail * found.f_frsize, found.f_bavail / max(1, found.f_blocks)
        words = f"{path} has {free / 2**30:.1f} GiB free ({share:.0%})"
        low = free < 2**28 or share < 0.03
        mend = f"free space: du -xh -d2 {path} | sort -h | tail" if low else ""
        yield Finding(ERROR if free < 2**26 else WARNING if low else OK, "disk", words, mend)


def memory(around: Circumstances) -> Iterator[Finding]:
    """Two slots run side by side for a while: there has to be room for another one like that which serves."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    values = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
    available = values["MemAvailable"] + values.get("SwapFree", 0)
    used = units.show(units.web(around.state.active), "MemoryCurrent")["MemoryCurrent"] if around.state.active else ""
    needed = (int(used) if used.isdigit() else 2**28) + SPARE_MEMORY_BYTES
    words = f"{available / 2**20:.0f} MiB available, a second slot needs about {needed / 2**20:.0f} MiB"
    # The kernel can drop caches that are counted as used, so too little is a warning below twice the need only.
    level = ERROR if available < needed / 2 else WARNING if available < needed else OK
    yield Finding(level, "memory", words, "" if level == OK else "lower app_env_gunicorn_workers, or add memory")


def database(around: Circumstances) -> Iterator[Finding]:
    """Connect as the migrator, directly, and as the shop, through the pooler."""
    direct = connection_environment(around.config, around.env)
    names = {"PGHOST": "DB_HOST", "PGPORT": "DB_PORT", "PGUSER": "DB_USER", "PGPASSWORD": "DB_PASSWORD"}
    pooled = direct | {libpq: around.settings[name] for libpq, name in names.items()}
    for thing, environment in (("database", direct), ("pooler", pooled)):
        environment["PGCONNECT_TIMEOUT"] = "5"
        ask = ["psql", "-XAtqc", "SHOW server_version"]
        done = shell.run(ask, env=environment, timeout=POOLER_SECONDS, check=False)
        if done.code == 0:
            yield Finding(OK, thing, f"PostgreSQL {done.stdout.split()[0]} answers {environment['PGUSER']}")
        else:
            reason = refusal_behind_pooler(done.stderr) or done.stderr
            words = said_by_server(reason)
            mend = database_hint(reason) or CONVERGE
            yield Finding(ERROR, thing, mask(words, secret_values(around.config, around.env)), mend)


def said_by_server(stderr: str) -> str:
    """Return the line in which the server says why, without what psql makes of the closed connection."""
    lines = stderr.strip().splitlines() or ["no answer"]
    return next((line for line in lines if "FATAL" in line or "ERROR" in line), lines[-1]).strip()


def refusal_behind_pooler(stderr: str) -> str:
    """Return what PgBouncer was told by the server: its clients hear only that it cannot log in.

    An empty text when the pooler itself does not answer, or did not say so of late.
    """
    if not any(words in stderr for words in POOLER_HIDES):
        return ""
    told = [line for line in units.journal_tail(POOLER, since=time.time() - 60, lines=400) if "login failed:" in line]
    return told[-1].partition("login failed:")[2].strip() if told else ""


def redis(around: Circumstances) -> Iterator[Finding]:
    """Log in to each use of Redis as the shop does."""
    urls = {name: url for name, url in around.settings.items() if name.startswith("REDIS_") and name.endswith("_URL")}
    for name, url in sorted(urls.items()):
        answer = ask_redis(url)
        use = name.removeprefix("REDIS_").removesuffix("_URL").lower()
        if answer == "+PONG":
            yield Finding(OK, "redis", f"{use} answers")
        else:
            yield Finding(ERROR, "redis", f"{use}: {answer}", f"systemctl status redis-server; then {CONVERGE}")


def ask_redis(url: str, *, timeout: float = 3.0) -> str:
    """Log in and send PING; return the last line of the answer or what went wrong."""
    parts = urllib.parse.urlsplit(url)
    user, password = urllib.parse.unquote(parts.username or "default"), urllib.parse.unquote(parts.password or "")
    try:
        if parts.scheme == "unix":
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(timeout)
            connection.connect(parts.path)
        else:
            connection = socket.create_connection((parts.hostname or "", parts.port or 6379), timeout=timeout)
        with connection:
            words = ["AUTH", user, password] if password else []
            for command in ([words] if words else []) + [["PING"]]:
                text = f"*{len(command)}\r\n" + "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in command)
                connection.sendall(text.encode())
                answer = connection.recv(512).decode(errors="replace").strip()
                if answer.startswith("-"):
                    return answer[1:]
            return answer
    except OSError as error:
        return str(error)


def certificate(around: Circumstances) -> Iterator[Finding]:
    path = around.config.certificate
    if not around.config.edge:
        return
    if not path.exists():
        yield Finding(ERROR, "certificate", f"{path} is missing", CONVERGE)
        return
    done = shell.run(["openssl", "x509", "-noout", "-enddate", "-in", str(path)])
    ends = time.strptime(done.stdout.strip().partition("=")[2], "%b %d %H:%M:%S %Y GMT")
    days = (time.mktime(ends) - time.timezone - time.time()) / 86_400
    mend = "" if days > CERTIFICATE_DAYS else "see the renewal: journalctl -u 'pasargad-tls*'; pasargad_tls_mode"
    level = ERROR if days <= 0 else WARNING if mend else OK
    yield Finding(level, "certificate", f"valid for {days:.1f} more days" if days > 0 else "has expired", mend)


def clock(around: Circumstances) -> Iterator[Finding]:
    """Compare with the controller's clock: leases, certificates and one-time codes depend on it."""
    if not around.controller_time:
        return
    apart = time.time() - around.controller_time
    words = f"{abs(apart):.1f} s {'ahead of' if apart > 0 else 'behind'} the controller"
    far = abs(apart) > CLOCK_SECONDS
    yield Finding(WARNING if far else OK, "clock", words, "set it: timedatectl set-ntp true" if far else "")


def backup(around: Circumstances) -> Iterator[Finding]:
    """Read what the backup job wrote: {"finished_at": seconds since 1970, "ok": true}."""
    if around.settings.get("BACKUP_ENABLED", "").lower() not in ("true", "1", "yes", "on"):
        return
    file = Path(around.settings.get("BACKUP_STATUS_FILE", ""))
    status = read_json(file) or {}
    hours = (time.time() - float(status.get("finished_at", 0))) / 3600
    limit = float(around.settings.get("BACKUP_MAX_AGE_HOURS", "26"))
    good = bool(status.get("ok")) and hours <= limit
    words = f"the newest is {hours:.1f} h old" if status else f"none so far ({file})"
    yield Finding(OK if good else WARNING, "backup", words, "" if good else "run the backup job before you migrate")


def schema(around: Circumstances) -> Iterator[Finding]:
    """Say which migrations a release would bring, and refuse those that the serving release would not survive."""
    serving = around.state.serving
    present = read_release(around.config.releases / serving.release) if serving else None
    if around.release is None or present is None:
        return
    known = [f"{app}.{name}" for app, name, _ in present.migrations]
    new = [f"{app}.{name}" for app, name, _ in around.release.migrations if f"{app}.{name}" not in known]
    refused = refusal(around.release, Plan(tuple(known), tuple(new)), allow_contract=False)
    if refused:
        yield Finding(WARNING, "schema", refused.message, refused.hint)
    else:
        yield Finding(OK, "schema", f"{len(new)} new migrations: {', '.join(new)}" if new else "no new migrations")


def slots(around: Circumstances) -> Iterator[Finding]:
    """Say whether what serves is well."""
    active = around.state.active
    if active is None:
        yield Finding(OK, "slots", "no release serves yet")
    elif units.is_active(units.web(active)):
        yield Finding(OK, "slots", f"{active} serves")
    else:
        yield Finding(WARNING, "slots", f"{active} should serve and does not run", "a deploy starts the other slot")


CHECKS: tuple[Callable[[Circumstances], Iterator[Finding]], ...] = (
    disk,
    memory,
    database,
    redis,
    certificate,
    clock,
    backup,
    schema,
    slots,
)
