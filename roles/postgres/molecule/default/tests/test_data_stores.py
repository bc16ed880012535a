"""What the shop may and may not do with PostgreSQL, PgBouncer and Redis on a host that holds all three."""

from __future__ import annotations

import json
import shlex

import pytest
from testinfra.backend.base import CommandResult
from testinfra.host import Host

testinfra_hosts = ["ansible://tested"]

APP = ("pasargad_app", "test-db-app")
MIGRATOR = ("pasargad_migrator", "test-db-migrator")
POOL = "-h /run/pgbouncer -p 6432"
DIRECT = "-h /run/postgresql -p 5432"


def psql(host: Host, login: tuple[str, str], sql: str, where: str = POOL) -> CommandResult:
    user, password = login
    return host.run(f"PGPASSWORD={password} psql -X -A -t -q -v ON_ERROR_STOP=1 {where} -U {user} pasargad -c %s", sql)


def superuser(host: Host, sql: str) -> str:
    return host.check_output("runuser -u postgres -- psql -X -A -t -q -d pasargad -c %s", sql)


def redis(host: Host, user: str, *words: str) -> str:
    command = shlex.join(words)
    return host.run(
        f"REDISCLI_AUTH=test-redis-{user} redis-cli -s /run/redis/redis.sock --user {user} {command}"
    ).stdout.strip()


@pytest.fixture
def goods(host: Host) -> None:
    """A table that the migrator made, as a migration would."""
    psql(host, MIGRATOR, "DROP TABLE IF EXISTS goods", DIRECT)
    made = psql(host, MIGRATOR, "CREATE TABLE goods (id bigint GENERATED ALWAYS AS IDENTITY, name text)", DIRECT)
    assert made.rc == 0, made.stderr


def test_versions_are_debians_own(host: Host) -> None:
    expected = {"12": "15", "13": "17"}[host.system_info.release.partition(".")[0]]
    assert superuser(host, "SHOW server_version").startswith(expected)


def test_data_pages_carry_checksums(host: Host) -> None:
    assert superuser(host, "SHOW data_checksums") == "on"


def test_memory_follows_the_bound(host: Host) -> None:
    assert superuser(host, "SHOW shared_buffers") == "128MB"


def test_sorting_does_not_depend_on_the_system(host: Host) -> None:
    assert (
        superuser(host, "SELECT datcollate, pg_encoding_to_char(encoding) FROM pg_database WHERE datname = 'pasargad'")
        == "C.UTF-8|UTF8"
    )


def test_extensions_are_there(host: Host) -> None:
    assert set(superuser(host, "SELECT extname FROM pg_extension").split()) >= {"pg_trgm", "unaccent"}


def test_only_scram_verifiers_are_stored(host: Host) -> None:
    assert superuser(host, "SELECT rolname FROM pg_authid WHERE rolpassword NOT LIKE 'SCRAM-SHA-256$%'") == ""


def test_pgbouncer_stores_the_verifier_and_no_password(host: Host) -> None:
    userlist = host.file("/etc/pgbouncer/userlist.txt")
    assert userlist.mode == 0o640
    assert (
        superuser(host, "SELECT rolpassword FROM pg_authid WHERE rolname = 'pasargad_app'") in userlist.content_string
    )
    assert "test-db-app" not in userlist.content_string


@pytest.mark.parametrize("where", [POOL, "-h 127.0.0.1 -p 6432", DIRECT, "-h 127.0.0.1 -p 5432"])
def test_the_shop_logs_in(host: Host, where: str) -> None:
    answer = psql(host, APP, "SELECT current_user", where)
    assert answer.stdout.strip() == "pasargad_app", answer.stderr


@pytest.mark.parametrize("where", [POOL, DIRECT])
def test_a_wrong_password_is_refused(host: Host, where: str) -> None:
    answer = psql(host, ("pasargad_app", "wrong"), "SELECT 1", where)
    assert answer.rc == 2
    assert "authentication failed" in answer.stderr


def test_the_migrator_cannot_come_through_the_pool(host: Host) -> None:
    assert psql(host, MIGRATOR, "SELECT 1").rc == 2


def test_the_shop_reads_and_writes_what_a_migration_made(host: Host, goods: None) -> None:
    answer = psql(
        host,
        APP,
        "INSERT INTO goods (name) VALUES ('vase'); UPDATE goods SET name = 'bowl'; SELECT name FROM goods",
    )
    assert answer.stdout.strip() == "bowl", answer.stderr


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (id int)",
        "CREATE TEMPORARY TABLE mine (id int)",
        "ALTER TABLE goods ADD COLUMN price int",
        "DROP TABLE goods",
        "TRUNCATE goods",
        "CREATE ROLE friend",
        "SET ROLE pasargad_owner",
    ],
)
def test_the_shop_cannot(host: Host, goods: None, statement: str) -> None:
    answer = psql(host, APP, statement)
    assert answer.rc == 1
    assert "permission denied" in answer.stderr or "must be owner" in answer.stderr


def test_tables_belong_to_the_owner_who_cannot_log_in(host: Host, goods: None) -> None:
    assert superuser(host, "SELECT tableowner FROM pg_tables WHERE tablename = 'goods'") == "pasargad_owner"
    assert superuser(host, "SELECT rolcanlogin FROM pg_roles WHERE rolname = 'pasargad_owner'") == "f"


def test_role_timeouts_hold_through_the_pool(host: Host) -> None:
    assert psql(host, APP, "SHOW statement_timeout").stdout.strip() == "15s"
    assert psql(host, APP, "SHOW idle_in_transaction_session_timeout").stdout.strip() == "1min"
    assert psql(host, MIGRATOR, "SHOW lock_timeout", DIRECT).stdout.strip() == "100ms"


def test_nobody_else_may_connect(host: Host) -> None:
    superuser(host, "DROP ROLE IF EXISTS stranger; CREATE ROLE stranger LOGIN PASSWORD 'stranger'")
    try:
        assert psql(host, ("stranger", "stranger"), "SELECT 1", DIRECT).rc == 2
        assert superuser(host, "SELECT has_database_privilege('stranger', 'pasargad', 'CONNECT')") == "f"
        assert superuser(host, "SELECT has_schema_privilege('stranger', 'public', 'USAGE')") == "f"
    finally:
        superuser(host, "DROP ROLE stranger")


def test_nothing_listens_beyond_the_machine(host: Host) -> None:
    listening = host.check_output("ss -ltnH | awk '{print $4}'").split()
    stores = [address for address in listening if address.rpartition(":")[2] in {"5432", "6432", "6379"}]
    assert "127.0.0.1:6432" in stores
    assert [address for address in stores if not address.startswith(("127.", "[::1]"))] == []


def test_the_pool_is_in_transaction_mode_and_holds_two_slots(host: Host) -> None:
    psql(host, APP, "SELECT 1")
    pools = host.check_output(f"runuser -u postgres -- psql -X -A -t {POOL} -U pgbouncer pgbouncer -c 'SHOW DATABASES'")
    shop = next(line for line in pools.splitlines() if line.startswith("pasargad|"))
    assert "|30|" in shop
    pools = host.check_output(f"runuser -u postgres -- psql -X -A -t {POOL} -U pgbouncer pgbouncer -c 'SHOW POOLS'")
    assert any(line.startswith("pasargad|pasargad_app|") and "transaction" in line for line in pools.splitlines())


def test_a_restarted_database_costs_the_pool_no_query(host: Host) -> None:
    """The role restarts PostgreSQL behind a paused PgBouncer; a client that asks meanwhile gets its answer."""
    release = {"12": "15", "13": "17"}[host.system_info.release.partition(".")[0]]
    console = f"runuser -u postgres -- psql -X -q {POOL} -U pgbouncer pgbouncer -c"
    client = (
        f"PGPASSWORD={APP[1]} psql -X -A -t {POOL} -U {APP[0]} pasargad -c 'SELECT 42' > /tmp/answer 2>&1 & client=$!"
    )
    restart = f"systemctl restart postgresql@{release}-main"
    script = f"{console} PAUSE; {client}; {restart}; {console} RESUME; wait $client; cat /tmp/answer"
    assert host.check_output("bash -c %s", script) == "42"


def test_privileges_that_drifted_are_seen_and_mended_in_one_transaction(host: Host) -> None:
    superuser(host, "GRANT CREATE ON SCHEMA public TO PUBLIC; ALTER ROLE pasargad_app RESET statement_timeout")
    command = "runuser -u postgres -- psql -X -qAt -v ON_ERROR_STOP=1 -v dry={} -f /etc/postgresql/pasargad.sql"
    predicted = host.check_output(command.format(1))
    assert "changed: schema public" in predicted
    assert psql(host, APP, "CREATE TABLE drift (id int)").rc == 0, "the dry run must not mend"
    superuser(host, "DROP TABLE drift")
    assert host.check_output(command.format(0)) == predicted
    assert host.check_output(command.format(0)) == ""
    assert psql(host, APP, "CREATE TABLE drift (id int)").rc == 1


USES = ("cache", "sessions", "limits")
FORBIDDEN = (
    "FLUSHALL",
    "FLUSHDB",
    "KEYS *",
    "SCAN 0",
    "RANDOMKEY",
    "CONFIG GET *",
    "ACL LIST",
    "CLIENT LIST",
    "MONITOR",
    "SHUTDOWN",
)


def redis_lines(host: Host, user: str, commands: list[str]) -> list[str]:
    """Send commands through one connection; one answer a line."""
    lines = "\n".join(commands)
    command = f"REDISCLI_AUTH=test-redis-{user} redis-cli -s /run/redis/redis.sock --user {user}"
    return [line for line in host.check_output(f"printf '%%s\\n' %s | {command}", lines).splitlines() if line]


@pytest.mark.parametrize("user", USES)
def test_each_use_of_redis_has_its_own_keys(host: Host, user: str) -> None:
    assert redis_lines(host, user, [f"SET {user}:1:key value EX 60", f"GET {user}:1:key"]) == ["OK", "value"]
    others = [other for other in USES if other != user]
    for answer in redis_lines(
        host, user, [f"{verb} {other}:1:key" for other in others for verb in ("GET", "DEL", "INCR")]
    ):
        assert answer.startswith("NOPERM"), answer


@pytest.mark.parametrize("user", USES)
def test_no_user_of_redis_may_look_around_or_rule(host: Host, user: str) -> None:
    answers = redis_lines(host, user, list(FORBIDDEN))
    assert [answer[:6] for answer in answers] == ["NOPERM"] * len(FORBIDDEN), answers


def test_the_default_user_of_redis_is_off(host: Host) -> None:
    assert host.run("redis-cli -s /run/redis/redis.sock PING").stdout.startswith("NOAUTH")


def test_only_the_shops_group_opens_the_redis_socket(host: Host) -> None:
    socket = host.file("/run/redis/redis.sock")
    assert (socket.group, socket.mode) == ("pasargad", 0o770)
    assert "denied" in host.run("runuser -u www-data -- redis-cli -s /run/redis/redis.sock PING 2>&1").stdout


def test_full_memory_evicts_cache_before_sessions(host: Host) -> None:
    """16 MB are filled twice over with cache entries; every session, due in two weeks, is still there."""
    script = """
import socket, sys
def client(user):
    s = socket.socket(socket.AF_UNIX); s.connect("/run/redis/redis.sock"); f = s.makefile("rwb")
    def send(*words):
        f.write(b"*%d\\r\\n" % len(words) + b"".join(b"$%d\\r\\n%s\\r\\n" % (len(w), w) for w in words)); f.flush()
        return f.readline()
    assert send(b"AUTH", user.encode(), b"test-redis-" + user.encode()).startswith(b"+OK")
    return send
sessions, cache = client("sessions"), client("cache")
for n in range(200):
    assert sessions(b"SET", b"sessions:1:%d" % n, b"s" * 500, b"EX", b"1209600").startswith(b"+OK")
for n in range(3500):
    answer = cache(b"SET", b"cache:1:%d" % n, b"c" * 10000, b"EX", b"300")
    assert answer.startswith(b"+OK"), answer
alive = sum(sessions(b"EXISTS", b"sessions:1:%d" % n) == b":1\\r\\n" for n in range(200))
kept = sum(cache(b"EXISTS", b"cache:1:%d" % n) == b":1\\r\\n" for n in range(3500))
import json; print(json.dumps({"sessions": alive, "cache": kept}))
"""
    outcome = json.loads(host.check_output("python3 -c %s", script))
    assert outcome["sessions"] == 200
    assert 0 < outcome["cache"] < 2000


def test_sessions_survive_a_restart_of_redis(host: Host) -> None:
    redis(host, "sessions", "SET", "sessions:1:kept", "cart", "EX", "600")
    # The append-only file is flushed each second.
    host.check_output("sleep 1.2; systemctl restart redis-server")
    assert redis(host, "sessions", "GET", "sessions:1:kept") == "cart"


@pytest.mark.parametrize(
    ("check", "text"),
    [
        ("check-redis config", "no-such-setting yes"),
        ("check-redis acl", "user eve on +no-such-command"),
        ("check-pgbouncer", "[pgbouncer]\npool_mode = sideways"),
    ],
)
def test_a_wrong_configuration_is_refused_before_it_replaces_the_old(host: Host, check: str, text: str) -> None:
    host.check_output("printf '%%s\\n' %s > /tmp/candidate", text)
    assert host.run(f"/usr/local/sbin/{check} /tmp/candidate").rc == 1


def test_a_good_configuration_is_accepted_by_the_same_checks(host: Host) -> None:
    for check in ("check-redis config /etc/redis/redis.conf", "check-redis acl /etc/redis/users.acl"):
        assert host.run(f"/usr/local/sbin/{check}").rc == 0
    assert host.run("/usr/local/sbin/check-pgbouncer /etc/pgbouncer/pgbouncer.ini").rc == 0


def test_no_secret_stands_in_the_journal(host: Host) -> None:
    journal = host.check_output("journalctl --no-pager -o cat")
    for secret in (
        "test-db-app",
        "test-db-migrator",
        "test-redis-cache",
        "test-redis-sessions",
        "test-redis-limits",
        "SCRAM-SHA-256$",
    ):
        assert secret not in journal


def test_everything_starts_again_at_boot(host: Host) -> None:
    for unit in ("postgresql", "pgbouncer", "redis-server", "unattended-upgrades"):
        assert host.service(unit).is_enabled, unit


def test_the_base_system_is_set(host: Host) -> None:
    assert host.check_output("date +%Z") == "UTC"
    assert host.check_output("sysctl -n net.core.somaxconn") == "4096"
    assert "SystemMaxUse=1024M" in host.check_output("systemd-analyze cat-config systemd/journald.conf")
    origins = host.check_output("apt-config dump Unattended-Upgrade::Origins-Pattern")
    assert "Debian-Security" in origins
    assert "label=Debian," not in origins
