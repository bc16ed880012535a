"""The commands of docs/how-to/restore-without-us.md, as they stand there, bring back what the jobs have made."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pasargad_ops.backup.logical import LogicalRequest, backup_logical
from pasargad_ops.backup.physical import PhysicalRequest, backup_physical
from tests.backup.jobs_rig import Host, host
from tests.backup.pgbackrest_rig import PASSPHRASE, run
from tests.backup.rig import Keys, keys
from tests.services import as_user, postgres_programs

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/how-to/restore-without-us.md"
ROWS = "SELECT count(*), md5(string_agg(note, ',' ORDER BY id)) FROM orders"


@dataclass(frozen=True)
class Left:
    """What is left of a host: a copy of the place of its sets, and the keys."""

    host: Host
    keys: Keys
    place: Path
    rows: str


def blocks(heading: str) -> str:
    """Return the commands below a heading."""
    part = PAGE.read_text().partition(f"## {heading}")[2].partition("\n## ")[0]
    found = re.findall(r"```sh\n(.*?)```", part, re.S)
    assert len(found) == 2, "a page whose commands nobody finds proves nothing"
    return "set -euo pipefail\n" + "".join(found)


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Left]:
    with host() as made:
        made.rig.root.chmod(0o755)
        pair = keys(made.rig.root)
        made.more = {"recipients_file": str(pair.recipients)}
        backup_physical(made.context, PhysicalRequest("full"))
        made.rig.sql("INSERT INTO orders VALUES (501, 'after the physical set')")
        backup_logical(made.context, LogicalRequest())
        made.rig.switch()
        rows = made.rig.sql(ROWS)
        place = made.rig.root / "place"
        shutil.copytree(made.storage / made.place.root, place)
        for path in (place, pair.identity, *place.rglob("*")):
            shutil.chown(path, "postgres", "postgres")
        yield Left(made, pair, place, rows)


def typed(script: str, left: Left, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run commands as PostgreSQL's user, with nothing of ours within reach."""
    about = {
        "PATH": f"{postgres_programs()}:/usr/bin:/bin",
        "PGHOST": str(left.host.rig.root / "sockets"),
        "PLACE": str(left.place),
        "IDENTITY": str(left.keys.identity),
        "PASSPHRASE": PASSPHRASE,
        **variables,
    }
    words = [*as_user("postgres"), "env", "--ignore-environment", "--chdir=/", *(f"{k}={v}" for k, v in about.items())]
    return subprocess.run(
        [*words, "bash", "-c", script], capture_output=True, text=True, check=False, env=dict(os.environ)
    )


def test_a_logical_set(left: Left) -> None:
    done = typed(blocks("A logical set"), left, NEW="back")
    assert done.returncode == 0, done.stderr
    assert (
        run("psql", "-h", str(left.host.rig.root / "sockets"), "-d", "back", "-AtqXc", ROWS).stdout.strip() == left.rows
    )


def test_a_damaged_object_is_seen_before_anything_is_restored(left: Left) -> None:
    (first,) = left.place.glob("logical/*/*/*/*/pre.age")
    whole = first.read_bytes()
    first.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    try:
        done = typed(blocks("A logical set"), left, NEW="never")
    finally:
        first.write_bytes(whole)
    assert done.returncode != 0
    assert "FAILED" in done.stdout + done.stderr
    databases = run("psql", "-h", str(left.host.rig.root / "sockets"), "-d", "postgres", "-AtqXc", r"\l").stdout
    assert "never" not in databases


def test_a_physical_set_and_its_wal(left: Left) -> None:
    target = left.host.rig.root / "target"
    target.mkdir(mode=0o700)
    shutil.chown(target, "postgres", "postgres")
    left.host.rig.root.chmod(0o777)
    script = (
        blocks("A physical set")
        .replace("--stanza=main", f"--stanza={stanza(left)}")
        .replace("'[main]'", f"'[{stanza(left)}]'")
    )
    try:
        done = typed(script, left, TARGET=str(target))
        assert done.returncode == 0, done.stderr
        assert run("psql", "-h", str(target), "-d", "postgres", "-AtqXc", ROWS).stdout.strip() == left.rows
    finally:
        run(str(postgres_programs() / "pg_ctl"), f"--pgdata={target}", "--mode=immediate", "--silent", "stop")
        left.host.rig.root.chmod(0o755)


def stanza(left: Left) -> str:
    """Return how the tests' own stanza is called; a host's is `main`."""
    return left.host.context.config.physical.stanza
