"""A private PostgreSQL, a pair of age keys, and a database with everything that dumps find hard."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from psycopg2.extensions import connection as Connection

from pasargad_ops.backup.dump import Pipeline, snapshot
from pasargad_ops.backup.shards import commands, plan
from tests import services

ODD_NAMES = (
    "UPPER",
    "upper",
    'with"quote',
    '""',
    "apostrophe's",
    "dot.ted",
    "per%cent",
    "فروشگاه",
    "چ" * 31 + "x",
    "x" * 63,
    "x" * 62,
    "dollar$",
    "back\\slash",
    "star*",
    "sta",
    "ques?tion",
    "(a)[b]{1}|+^",
    " space ",
    "select",
    "semi;colon",
    "--table",
    "***:",
    "new\nline",
)

HARD = """
CREATE TABLE empty (id int PRIMARY KEY);
CREATE TABLE no_columns ();
INSERT INTO no_columns SELECT FROM generate_series(1, 3);
CREATE TABLE twins (a int, b text);
INSERT INTO twins VALUES (1, NULL), (1, NULL), (1, ''), (NULL, NULL);
CREATE TABLE numbers (id int PRIMARY KEY, f8 float8, f4 float4, n numeric, m money, i interval, at timestamptz);
INSERT INTO numbers VALUES (1, 'NaN', '-0', 'NaN', 12.34, '1 mon -3 days 04:05:06.7', now()),
    (2, '-infinity', 0.1, 1.10, NULL, NULL, 'infinity'),
    (3, 0.1::float8 + 0.2, 1e-30, 1e-100, -1, '0', '0044-03-15 BC');
CREATE TYPE mood AS ENUM ('sad', 'it''s "ok"');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE pair AS (left_hand int, right_hand text);
CREATE TABLE kinds (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, m mood, d positive, p pair, b bytea, j jsonb,
    a text[], r int4range, twice int GENERATED ALWAYS AS (d * 2) STORED, c regclass, gone int);
INSERT INTO kinds (m, d, p, b, j, a, r, c) VALUES ('it''s "ok"', 2, ROW(1, 'a,"b'), '\\x00ff5c', '{"z": 1, "a": [9]}',
    ARRAY['', NULL, 'x,y'], '[1,5)', 'twins'), (NULL, NULL, NULL, '', 'null', '{}', 'empty', NULL);
ALTER TABLE kinds DROP COLUMN gone;
CREATE TABLE parted (id bigserial, day date, word text) PARTITION BY RANGE (day);
CREATE TABLE parted_old PARTITION OF parted FOR VALUES FROM ('2020-01-01') TO ('2021-01-01') PARTITION BY HASH (word);
CREATE TABLE parted_old_0 PARTITION OF parted_old FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parted_old_1 PARTITION OF parted_old FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE parted_rest PARTITION OF parted DEFAULT;
INSERT INTO parted (day, word) SELECT '2020-06-01'::date + g, md5(g::text) FROM generate_series(1, 400) g;
CREATE TABLE parent (id int, name text);
CREATE TABLE child (extra int) INHERITS (parent);
ALTER TABLE parent ADD COLUMN later text;
INSERT INTO parent VALUES (1, 'p', 'l');
INSERT INTO child (id, name, extra, later) VALUES (2, 'c', 3, 'l');
CREATE TABLE hidden (id serial PRIMARY KEY, owner name);
INSERT INTO hidden (owner) SELECT 'nobody' FROM generate_series(1, 9);
ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;
ALTER TABLE hidden FORCE ROW LEVEL SECURITY;
CREATE POLICY mine ON hidden USING (owner = current_user);
CREATE TABLE ring_a (id int PRIMARY KEY, b int);
CREATE TABLE ring_b (id int PRIMARY KEY, a int REFERENCES ring_a);
ALTER TABLE ring_a ADD FOREIGN KEY (b) REFERENCES ring_b DEFERRABLE INITIALLY DEFERRED;
BEGIN; INSERT INTO ring_a VALUES (1, 1); INSERT INTO ring_b VALUES (1, 1); COMMIT;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$;
CREATE TABLE guarded (id int);
INSERT INTO guarded VALUES (1);
CREATE TRIGGER guard BEFORE INSERT ON guarded FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE UNLOGGED TABLE fast (id int PRIMARY KEY);
INSERT INTO fast VALUES (1);
CREATE TABLE wide (id int PRIMARY KEY, t text);
ALTER TABLE wide ALTER t SET STORAGE EXTERNAL;
INSERT INTO wide SELECT 1, repeat('0123456789abcdef', 1 << 20);
CREATE MATERIALIZED VIEW digest AS SELECT count(*) FROM twins;
CREATE VIEW seen AS SELECT * FROM numbers;
CREATE SEQUENCE plain START 5;
CREATE SEQUENCE down INCREMENT -1;
SELECT nextval('down'), nextval('down');
CREATE EXTENSION file_fdw;
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE far (line text) SERVER files OPTIONS (filename '/etc/hostname');
SELECT lo_from_bytea(4711, '\\xdeadbeef'), lo_from_bytea(4712, ''), lo_from_bytea(4713, repeat('large', 500000)::bytea);
SELECT lo_put(4714, 5000000, 'after a hole') FROM (SELECT lo_create(4714)) made;
"""


@dataclass(frozen=True)
class Server:
    """A running server; `environment` is libpq's."""

    environment: dict[str, str]

    def connect(self, database: str = "") -> Connection:
        """Return a new connection."""
        env = self.environment
        return psycopg2.connect(host=env["PGHOST"], user=env["PGUSER"], dbname=database or env["PGDATABASE"])

    def execute(self, script: str, database: str = "") -> None:
        """Run a script in a session of its own, each statement by itself."""
        command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", database or self.environment["PGDATABASE"]]
        done = subprocess.run(
            command, input=script, text=True, capture_output=True, env={**os.environ, **self.environment}, check=False
        )
        assert done.returncode == 0, done.stderr

    def create(self, name: str) -> str:
        """Create an empty database."""
        self.execute(f'DROP DATABASE IF EXISTS "{name}"', "postgres")
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE template0', "postgres")
        return name


@contextlib.contextmanager
def server() -> Iterator[Server]:
    """Run a PostgreSQL of our own."""
    with tempfile.TemporaryDirectory(prefix="pasargad-backup-") as name:
        Path(name).chmod(0o755)
        with services.postgres(Path(name)) as found:
            yield Server(
                {
                    "PGHOST": found["DB_HOST"],
                    "PGUSER": found["DB_USER"],
                    "PGPASSWORD": "s3cret-of-the-tests",
                    "PGDATABASE": found["DB_NAME"],
                }
            )


@dataclass(frozen=True)
class Keys:
    """The files of an age key pair."""

    identity: Path
    recipients: Path


def keys(directory: Path, name: str = "key") -> Keys:
    """Make a key pair."""
    identity, recipients = directory / f"{name}.identity", directory / f"{name}.recipients"
    subprocess.run(["age-keygen", "-o", str(identity)], capture_output=True, check=True)
    found = subprocess.run(["age-keygen", "-y", str(identity)], capture_output=True, text=True, check=True)
    recipients.write_text(f"# of the tests\n{found.stdout}")
    return Keys(identity, recipients)


def odd_tables() -> str:
    """Return a script that creates tables with odd names, one row more in each."""
    lines = ['CREATE SCHEMA "Odd.schema";']
    for number, name in enumerate(ODD_NAMES, 1):
        table = f'"Odd.schema"."{name.replace(chr(34), chr(34) * 2)}"'
        lines.append(f'CREATE TABLE {table} (id int PRIMARY KEY, "col%s umn\'""" text);')
        lines.append(f"INSERT INTO {table} SELECT g, md5(g::text) FROM generate_series(1, {number}) g;")
    return "\n".join(lines)


def dump_all(found: Server, shards: int, recipients: Path, database: str = "") -> dict[str, bytes]:
    """Return every object of a set, encrypted."""
    environment = {**found.environment, "PGDATABASE": database or found.environment["PGDATABASE"]}
    connection = found.connect(environment["PGDATABASE"])
    with contextlib.closing(connection), snapshot(connection) as held:
        made = commands(plan(held.tables, shards), snapshot=held.id, database=environment["PGDATABASE"])
        return {name: b"".join(Pipeline(command, recipients, environment)) for name, command in made.items()}


def restore(found: Server, objects: Mapping[str, bytes], database: str) -> None:
    """Restore plaintext objects into a fresh database, with PostgreSQL's own programs."""
    for name, content in objects.items():
        if name == "globals":
            continue
        done = subprocess.run(
            ["pg_restore", "--exit-on-error", "--dbname", database],
            input=content,
            capture_output=True,
            env={**os.environ, **found.environment},
            check=False,
        )
        assert done.returncode == 0, (name, done.stderr)
