"""A set is restored whole and equal, or nothing of it has a name; and its files go nowhere but where they may."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pasargad_ops.backup import feeds, logical_restore, shards
from pasargad_ops.backup.chain import Entry
from pasargad_ops.backup.dump import Pipeline
from pasargad_ops.backup.errors import BackupError, Code
from pasargad_ops.backup.facts import read_facts
from pasargad_ops.backup.feeds import Feeds
from pasargad_ops.backup.half_database import connect, half_database, half_name
from pasargad_ops.backup.logical_restore import LogicalTarget, compare_with, restore_logical
from pasargad_ops.backup.manifest import Part
from pasargad_ops.backup.scratch import ScratchPlace, initdb, running, scratch_root
from pasargad_ops.backup.set_files import Unpacked, unpack
from pasargad_ops.backup.signatures import make_key
from tests.backup import logical_rig, rig
from tests.backup.logical_rig import Shop
from tests.services import postgres_programs

ROLES = """
CREATE ROLE owner; CREATE ROLE "o;dd""na'me" LOGIN; CREATE ROLE grp NOLOGIN CONNECTION LIMIT 7;
GRANT grp TO "o;dd""na'me" WITH ADMIN OPTION; ALTER ROLE grp SET search_path = 'a;b', 'c''d';
COMMENT ON ROLE grp IS 'several; -- of them';
"""
DJANGO = """
CREATE TABLE django_migrations (id serial PRIMARY KEY, app text, name text);
INSERT INTO django_migrations (app, name) VALUES ('orders', '0001_initial'), ('orders', '0002_address');
CREATE SCHEMA pasargad_ops;
CREATE TABLE pasargad_ops.heartbeat (seq bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());
INSERT INTO pasargad_ops.heartbeat DEFAULT VALUES;
"""


@pytest.fixture(scope="module")
def server() -> Iterator[rig.Server]:
    with rig.server() as found:
        found.execute(rig.odd_tables() + rig.HARD + DJANGO + logical_rig.ROLE + logical_rig.LARGE_OBJECTS + ROLES)
        found.execute("ALTER DATABASE pasargad OWNER TO owner", "postgres")
        yield found


@pytest.fixture(scope="module")
def made(server: rig.Server, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return logical_rig.shop(server, tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def entry(made: Shop) -> Entry:
    """One set of two shards, with media."""
    media = made.directory / "media"
    media.mkdir()
    (media / "فایل.jpg").write_bytes(b"picture")
    (media / "inside").symlink_to("فایل.jpg")
    (media / "outside").symlink_to("/etc/hostname")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SMALL_BYTES", 1)
        return made.back_up(media_paths=[str(media)])


@pytest.fixture(autouse=True)
def nothing_left(server: rig.Server) -> Iterator[None]:
    """No test may leave a database, a session or a thread."""
    yield
    deadline = time.monotonic() + 10
    while databases(server) != {"pasargad"} or threading.active_count() > 1:
        assert time.monotonic() < deadline, (databases(server), threading.enumerate())
        time.sleep(0.05)


def databases(server: rig.Server) -> set[str]:
    with contextlib.closing(server.connect("postgres")) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'")
        return {name for (name,) in cursor.fetchall()}


def drop(server: rig.Server, name: str = "again") -> None:
    server.execute(f'DROP DATABASE "{name}"', "postgres")


def fails(call: Callable[[], object], code: Code, words: str) -> BackupError:
    with pytest.raises(BackupError, match=words) as caught:
        call()
    assert caught.value.code == code, caught.value
    assert caught.value.hint
    return caught.value


def restoring(made: Shop, entry: Entry, target: LogicalTarget | None = None, identity: Path | None = None) -> Any:
    where, key = target or made.target("again"), identity or made.keys.identity
    return lambda: restore_logical(made.context(), entry, where, key)


def test_the_manifest_says_what_the_snapshot_held(entry: Entry) -> None:
    assert entry.manifest.django == {"orders": "0002_address"}
    assert entry.manifest.heartbeat is not None and entry.manifest.heartbeat.seq == 1
    assert entry.manifest.db.owner == "owner"


def test_an_empty_cluster_gets_the_roles_the_owner_and_equal_content(made: Shop, entry: Entry, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for parent in list(tmp_path.parents)[:-2]:
        parent.chmod(0o755)
    place = ScratchPlace(tmp_path / "drill", postgres_programs())
    with scratch_root(place):
        initdb(place)
        with running(place) as scratch:
            target = LogicalTarget(scratch.libpq, "pasargad", postgres_programs())
            found = restore_logical(made.context().objects, entry, target, made.keys.identity)
            with contextlib.closing(scratch.connect("pasargad")) as connection:
                assert compare_with(connection, entry.manifest) == []
                facts = read_facts(connection)
                assert dataclasses.replace(facts.database, bytes=0) == dataclasses.replace(entry.manifest.db, bytes=0)
                assert facts.heartbeat == entry.manifest.heartbeat
                with connection.cursor() as cursor:
                    cursor.execute(
                        "SELECT rolconnlimit, rolconfig, shobj_description(oid, 'pg_authid') FROM pg_roles "
                        "WHERE rolname = 'grp'"
                    )
                    assert cursor.fetchone() == (7, ['search_path="a;b", "c\'d"'], "several; -- of them")
                    cursor.execute(
                        "SELECT roleid::regrole::text, admin_option FROM pg_auth_members WHERE member = "
                        "(SELECT oid FROM pg_roles WHERE rolname = 'o;dd\"na''me')"
                    )
                    assert cursor.fetchall() == [("grp", True)]
                    cursor.execute("SELECT count(*) FROM pg_index WHERE NOT indisvalid")
                    assert cursor.fetchone() == (0,)
    assert list(found.phases) == ["check", "globals", "pre", "data", "post", "analyze"]
    assert all(seconds > 0 for seconds in found.phases.values())
    assert (found.rows, found.bytes) == (entry.manifest.rows, entry.manifest.bytes)


def test_what_differs_is_named(made: Shop, entry: Entry, server: rig.Server) -> None:
    restoring(made, entry)()
    server.execute(
        "DELETE FROM twins WHERE b = ''; DROP EXTENSION file_fdw CASCADE; CREATE EXTENSION pg_trgm;"
        "INSERT INTO django_migrations (app, name) VALUES ('books', '0001_initial')",
        "again",
    )
    with contextlib.closing(server.connect("again")) as connection:
        found = compare_with(connection, entry.manifest)
    assert [line for line in found if "1.0" not in line and "pg_trgm" not in line] == [
        '"public"."django_migrations": 2 became 3',
        '"public"."twins": 4 became 3',
        "migrations of books: none became 0001_initial",
    ]
    assert "extension file_fdw: 1.0 became none" in found
    assert any(line.startswith("extension pg_trgm: none became") for line in found)
    drop(server)


def test_a_sequence_may_go_on_and_not_back(made: Shop, entry: Entry, server: rig.Server) -> None:
    restoring(made, entry)()
    for value, wanted in ((9, []), (1, ['sequence "public"."plain": went back from 5 to 2'])):
        server.execute(f"SELECT setval('plain', {value})", "again")
        with contextlib.closing(server.connect("again")) as connection:
            assert compare_with(connection, entry.manifest) == wanted
    drop(server)


def test_no_database_is_restored_over_and_nothing_is_read(made: Shop, entry: Entry, server: rig.Server) -> None:
    class Unread:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"{name} was asked for")

    def call(manifest: Any = entry.manifest, name: str = "pasargad") -> Callable[[], object]:
        changed = dataclasses.replace(entry, manifest=manifest)
        return lambda: restore_logical(Unread(), changed, made.target(name), made.keys.identity)  # type: ignore[arg-type]

    fails(call(), Code.TARGET_REFUSED, "the database pasargad exists")
    fails(call(name="x" * 64), Code.TARGET_REFUSED, "is no name")
    newer = dataclasses.replace(entry.manifest, pg=dataclasses.replace(entry.manifest.pg, version=990000))
    fails(call(newer, "again"), Code.VERSION_MISMATCH, "is of PostgreSQL 99")
    fails(call(dataclasses.replace(entry.manifest, kind="physical"), "again"), Code.TARGET_REFUSED, "physical")
    nowhere = dataclasses.replace(made.target("again"), libpq={"PGHOST": "/nowhere"})
    fails(restoring(made, entry, nowhere), Code.DATABASE_UNREACHABLE, "does not let us in")


def test_a_wrong_identity_ends_before_anything_is_written(
    made: Shop, entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("something was written")

    monkeypatch.setattr(logical_restore, "replay_roles", never)
    other = rig.keys(made.directory, "other")
    fails(restoring(made, entry, identity=other.identity), Code.KEY, "opens nothing")
    fails(restoring(made, entry, identity=Path("/not/there")), Code.KEY, "cannot be read")


def file_of(made: Shop, part: Part) -> Path:
    return made.directory / "store" / part.key


@contextlib.contextmanager
def damaged(path: Path, content: bytes | None) -> Iterator[None]:
    before = path.read_bytes()
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize("role", ["globals", "pre", "data-000", "data-001", "post"])
def test_whatever_is_not_as_signed_runs_nowhere(
    made: Shop, entry: Entry, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("something was written")

    monkeypatch.setattr(logical_restore, "replay_roles", never)
    part = logical_restore.part_of(entry.manifest, role)
    other = logical_restore.part_of(entry.manifest, "pre" if role != "pre" else "post")
    whole = file_of(made, part).read_bytes()
    forged = subprocess.run(
        ["age", "-R", str(made.keys.recipients)], input=b"DROP DATABASE pasargad", capture_output=True, check=True
    ).stdout
    flipped = bytes([whole[len(whole) // 2] ^ 1])
    for content in (
        whole[: len(whole) // 2] + flipped + whole[len(whole) // 2 + 1 :],
        bytes([whole[30] ^ 1]) + whole[1:],  # the header, where age sees a wrong key
        whole[:-1],
        b"",
        whole + b"x",
        file_of(made, other).read_bytes(),
        forged,
        None,
    ):
        with damaged(file_of(made, part), content):
            fails(restoring(made, entry), Code.INTEGRITY, part.key)


def test_what_changes_after_it_was_checked_never_gets_its_name(
    made: Shop, entry: Entry, server: rig.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = logical_restore.part_of(entry.manifest, "data-001")
    whole = file_of(made, part).read_bytes()
    # What age and zstd both find whole, by a second sealing of other content.
    inner = subprocess.run(["age", "-d", "-i", str(made.keys.identity)], input=whole, capture_output=True, check=True)
    again = subprocess.run(
        ["age", "-R", str(made.keys.recipients)], input=inner.stdout, capture_output=True, check=True
    ).stdout
    monkeypatch.setattr(logical_restore._Restore, "check", lambda _: None)
    for content in (again, whole[:-1]):
        with damaged(file_of(made, part), content):
            fails(restoring(made, entry), Code.INTEGRITY, "instead of|damaged or cut")
            assert databases(server) == {"pasargad"}
    # The control: unchanged, the same way leads to a database.
    restoring(made, entry)()
    drop(server)


def test_a_forged_manifest_is_no_set(made: Shop, entry: Entry) -> None:
    objects = made.context().objects
    raw = objects.get(entry.key)
    objects.put(entry.key, raw.replace(b'"slot":"night"', b'"slot":"other"'))
    fails(restoring(made, entry), Code.INTEGRITY, "is not what the chain has there")
    objects.put(entry.key, raw)
    changed = dataclasses.replace(entry.manifest, objects=entry.manifest.objects[1:])
    fails(restoring(made, dataclasses.replace(entry, manifest=changed)), Code.INTEGRITY, "is not what was signed")
    stranger = made.context(trusted_keys=[make_key(made.directory / "stranger.pem")])
    call: Callable[[], object] = lambda: restore_logical(stranger, entry, made.target("again"), made.keys.identity)  # noqa: E731
    fails(call, Code.KEY, "none of these keys is pinned")
    made.context()


def test_another_restore_of_the_set_is_left_alone_and_a_dead_one_is_cleared(
    made: Shop, entry: Entry, server: rig.Server
) -> None:
    half = half_name(entry.manifest)
    server.create(half)
    with contextlib.closing(server.connect(half)):
        fails(restoring(made, entry), Code.TARGET_REFUSED, "another restore")
        assert half in databases(server)
    # Now nobody is in it.
    restoring(made, entry)()
    assert databases(server) == {"pasargad", "again"}
    drop(server)


def test_a_name_that_is_taken_meanwhile_stays_the_others(
    made: Shop, entry: Entry, server: rig.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    post = logical_restore._Restore.post

    def take(self: Any, half: str) -> None:
        post(self, half)
        server.create("again")
        server.execute("CREATE TABLE theirs ()", "again")

    monkeypatch.setattr(logical_restore._Restore, "post", take)
    fails(restoring(made, entry), Code.TARGET_REFUSED, "already exists")
    server.execute("SELECT FROM theirs", "again")
    drop(server)


def test_pg_restore_that_dies_or_refuses_is_told_and_the_half_is_dropped(
    made: Shop, entry: Entry, server: rig.Server, tmp_path: Path
) -> None:
    for script, words in (
        ("exec kill -9 $$", "pg_restore was killed by SIGKILL"),
        ("echo no >&2; exit 1", "code 1: no"),
    ):
        (tmp_path / "pg_restore").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "pg_restore").chmod(0o755)
        target = dataclasses.replace(made.target("again"), bin_dir=tmp_path)
        fails(restoring(made, entry, target), Code.RESTORE_FAILED, words)
        assert databases(server) == {"pasargad"}
    fails(
        restoring(made, entry, dataclasses.replace(made.target("again"), bin_dir=Path("/nowhere"))),
        Code.CONFIG,
        "pg_restore is not installed",
    )
    missing = dataclasses.replace(entry.manifest.db, collation="xx_XX.UTF-8")

    def create() -> None:
        foreign, libpq = dataclasses.replace(entry.manifest, db=missing), made.target("again").libpq
        with contextlib.closing(connect(libpq, "postgres")) as admin, half_database(admin, foreign, "again"):
            raise AssertionError("there is no such locale")

    fails(create, Code.RESTORE_FAILED, "invalid locale name")


def test_a_program_that_wants_no_more_still_has_its_stream_read_to_the_end() -> None:
    read: list[int] = []

    def blocks(fails_at: int = -1) -> Iterator[bytes]:
        for number in range(8):
            if number == fails_at:
                raise BackupError(Code.INTEGRITY, "cut", hint="take another")
            read.append(number)
            yield b"x" * (1 << 20)

    assert Feeds().pour(blocks(), ["sh", "-c", "head -c 10 >/dev/null"], {}).code == 0
    assert read == list(range(8))
    fails(lambda: Feeds().pour(blocks(7), ["sh", "-c", "head -c 10 >/dev/null"], {}), Code.INTEGRITY, "cut")
    # One that failed is told at once, without the rest.
    read.clear()
    fails(lambda: Feeds().pour(blocks(), ["sh", "-c", "exit 3"], {}), Code.RESTORE_FAILED, "ended with code 3")
    assert len(read) < 8


def test_a_feed_is_ended_from_another_thread() -> None:
    running = feeds.Feeds()
    threading.Timer(0.3, running.end).start()
    fails(lambda: running.pour([b"x"], ["sleep", "100"], {}), Code.RESTORE_FAILED, "SIGKILL")


def test_files_come_out_and_links_that_lead_out_stay_out(made: Shop, entry: Entry, tmp_path: Path) -> None:
    said: list[str] = []
    found = unpack(made.context().objects, entry, "media", made.keys.identity, tmp_path / "new", said.append)
    media = tmp_path / "new" / str(made.directory / "media").lstrip("/")
    assert (media / "فایل.jpg").read_bytes() == b"picture" == (media / "inside").read_bytes()
    assert not os.path.lexists(media / "outside")
    assert found == Unpacked(1, 7, (f"{made.directory}/media/outside -> /etc/hostname",))
    assert said == [f"left out: {found.left_out[0]}"]


def test_nothing_is_unpacked_over_anything(made: Shop, entry: Entry, tmp_path: Path) -> None:
    objects = made.context().objects
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine").write_text("mine")
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    for name, words in (("full", "is not empty"), ("full/mine", "is no directory"), ("link", "is no directory")):
        fails(
            lambda name=name: unpack(objects, entry, "media", made.keys.identity, tmp_path / name),  # type: ignore[misc]
            Code.TARGET_REFUSED,
            words,
        )
    other = rig.keys(tmp_path, "other")
    new = tmp_path / "new"
    fails(lambda: unpack(objects, entry, "media", other.identity, new), Code.KEY, "opens nothing")
    fails(lambda: unpack(objects, entry, "settings", made.keys.identity, new), Code.INTEGRITY, "has no object settings")
    part = logical_restore.part_of(entry.manifest, "media")
    with damaged(file_of(made, part), file_of(made, part).read_bytes()[:-1]):
        fails(lambda: unpack(objects, entry, "media", made.keys.identity, new), Code.INTEGRITY, part.key)
    assert not new.exists() or not any(new.iterdir())


HOSTILE: Mapping[str, list[tuple[str, bytes, str]]] = {
    "an absolute name": [("/tmp/pasargad-evil", tarfile.REGTYPE, "")],
    "a name that climbs": [("../pasargad-evil", tarfile.REGTYPE, "")],
    "a file through a link": [("a", tarfile.SYMTYPE, "/tmp"), ("a/pasargad-evil", tarfile.REGTYPE, "")],
    "a file through a relative link": [("a", tarfile.SYMTYPE, "../.."), ("a/pasargad-evil", tarfile.REGTYPE, "")],
    "a hard link to a file of the host": [("a", tarfile.LNKTYPE, "/etc/hostname")],
    "a hard link that climbs": [("a", tarfile.LNKTYPE, "../../etc/hostname")],
    "one file over another": [("a", tarfile.REGTYPE, ""), ("a", tarfile.REGTYPE, "")],
}
LEFT_OUT: Mapping[str, list[tuple[str, bytes, str]]] = {
    "a -> /etc/hostname": [("a", tarfile.SYMTYPE, "/etc/hostname")],
    "a -> ../../x": [("a", tarfile.SYMTYPE, "../../x")],
    # As text it stays inside.
    "x/y/z/b -> top/../etc": [
        ("x/y/z/f", tarfile.REGTYPE, ""),
        ("x/y/z/top", tarfile.SYMTYPE, "../../.."),
        ("x/y/z/b", tarfile.SYMTYPE, "top/../etc"),
    ],
    "pipe": [("pipe", tarfile.FIFOTYPE, "")],
    "disk": [("disk", tarfile.BLKTYPE, "")],
}


def hostile(made: Shop, entry: Entry, members: list[tuple[str, bytes, str]]) -> Entry:
    """Return a set of the shop's own chain whose settings hold these members."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, kind, target in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.size = kind, target, 4 if kind == tarfile.REGTYPE else 0
            archive.addfile(member, io.BytesIO(b"evil") if kind == tarfile.REGTYPE else None)
    (made.directory / "hostile.tar").write_bytes(packed.getvalue())
    with Pipeline(("cat", str(made.directory / "hostile.tar")), made.keys.recipients) as pipeline:
        sealed = b"".join(pipeline)
    context = made.context()
    stored = context.objects.put(f"{context.place.root}hostile/{os.urandom(6).hex()}.age", sealed)
    part = Part(stored.key, "settings", stored.bytes, stored.sha256, stored.version)
    return dataclasses.replace(entry, manifest=dataclasses.replace(entry.manifest, objects=(part,)))


@pytest.mark.parametrize("name", HOSTILE)
def test_an_archive_that_reaches_outside_is_refused(made: Shop, entry: Entry, tmp_path: Path, name: str) -> None:
    forged, target = hostile(made, entry, HOSTILE[name]), tmp_path / "deep/er"
    fails(
        lambda: unpack(made.context().objects, forged, "settings", made.keys.identity, target),
        Code.INTEGRITY,
        "tar does not take",
    )
    assert list(target.iterdir()) == [] and not list(tmp_path.rglob("*evil*"))
    assert not Path("/tmp/pasargad-evil").exists()


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_leads_out_or_is_no_file_is_left_out(made: Shop, entry: Entry, tmp_path: Path, name: str) -> None:
    forged = hostile(made, entry, LEFT_OUT[name])
    found = unpack(made.context().objects, forged, "settings", made.keys.identity, tmp_path / "deep/er")
    assert found.left_out == (f"/{name}",)
    assert not os.path.lexists(tmp_path / "deep/er" / name.split(" ->")[0])
