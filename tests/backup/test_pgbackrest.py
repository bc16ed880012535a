"""Our door to pgbackrest against the real program and a real PostgreSQL: damage is found, and restores hold."""

from __future__ import annotations

import contextlib
import fcntl
import http.server
import itertools
import os
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pasargad_ops.backup.errors import BackupError, Code
from pasargad_ops.backup.pgbackrest import Repository, RestoreRequest
from pasargad_ops.backup.pgbackrest_program import RepositoryConfig
from tests.backup.pgbackrest_rig import PASSPHRASE, STANZA, Copy, Rig, cluster, next_second, own, rig, run, until

HOLE = "00000001000000000000000B"
WRAPPER = """#!/bin/sh
echo "$@" >> {log}
env >> {log}
for word; do case $word in
backup) echo >> {log}.count
    if [ $(wc -l < {log}.count) -le {failures} ]; then
        echo 'ERROR: [039]: HTTP request failed with 429 (Too Many Requests):' >&2
        exit 39
    fi ;;
esac; done
exec pgbackrest "$@"
"""

S3 = """repo1-type=s3
repo1-s3-bucket=shop
repo1-s3-endpoint=localhost
repo1-s3-region=us-east-1
repo1-s3-uri-style=path
repo1-s3-key=AKIAEXAMPLE
repo1-s3-key-secret=very-secret
repo1-storage-port={port}
repo1-storage-ca-file={authority}
io-timeout=1"""

numbers = itertools.count()


@pytest.fixture(scope="module")
def made() -> Iterator[Rig]:
    """The cluster and its repository; a test that changes the living ones puts them back."""
    with rig() as started:
        yield started


@pytest.fixture
def copy(made: Rig) -> Copy:
    """A copy of the repository, to be damaged."""
    return made.copy(f"copy{next(numbers)}")


@pytest.fixture
def scratch(made: Rig) -> Path:
    """An empty directory that PostgreSQL may fill."""
    path = made.root / f"scratch{next(numbers)}"
    path.mkdir()
    own(path, 0o700)
    return path


def flip(path: Path, at: int = 0) -> None:
    """Turn one bit, by default in the middle of a file, as a bad disk does."""
    content = bytearray(path.read_bytes())
    content[at or len(content) // 2] ^= 1
    path.write_bytes(content)


def remove(*paths: Path) -> None:
    """Remove files, or folders with all that is in them."""
    subprocess.run(["rm", "-r", *map(str, paths)], check=True)


def still_says_nothing(copy: Copy, *command: str) -> None:
    """Guard the fact on which this door is built: pgbackrest ends with 0 although something is wrong."""
    done = copy.own(*command)
    version = run("pgbackrest", "version").stdout.strip()
    assert done.returncode == 0, (
        f"{version} now tells by its exit code ({done.returncode}) what {command[0]} kept to itself until 2.45: "
        "say so in docs and see whether our own reading is still needed"
    )


def test_a_whole_repository_has_no_findings(made: Rig, copy: Copy) -> None:
    assert copy.repository.verify(last_archived=made.last_archived) == []
    assert copy.repository.check_pgbackrest() == []


def test_a_backup_that_was_killed_and_waits_to_be_resumed_is_no_damage(made: Rig, copy: Copy) -> None:
    begun = copy.backups / "20990101-010101F"
    subprocess.run(["cp", "-a", str(copy.backups / made.full), str(begun)], check=True)
    remove(begun / "backup.manifest")
    assert "20990101-010101F, status: in-progress" in copy.own("verify", "--output=text", "--verbose").stdout
    assert copy.repository.verify() == []


def test_info_is_read(made: Rig, copy: Copy) -> None:
    info = copy.repository.info()
    assert (info.code, info.message, info.cipher, info.backup_running) == (0, "ok", "aes-256-cbc", False)
    assert info.database is not None
    assert info.database.system_id == int(made.sql("SELECT system_identifier FROM pg_control_system()"))
    assert info.database.version == made.sql("SHOW server_version_num")[:-4]
    assert [(each.label, each.kind, each.prior) for each in info.current] == [
        (made.full, "full", ""),
        (made.diff, "diff", made.full),
    ]
    full = info.current[0]
    assert full.start_wal[:8] == "00000001" and full.start_wal <= full.stop_wal
    assert full.started <= full.stopped <= datetime.now(UTC).timestamp()
    assert full.size_bytes > full.repository_bytes > 0
    assert info.archives[0].max == made.last_archived
    assert len([name for name in copy.repository.archive_names() if made.last_archived in name]) == 1


Damage = Callable[[Rig, Copy], object]
IN_BYTES: list[tuple[str, Damage, str]] = [
    ("flipped byte in a bundle", lambda m, c: flip(c.backups / m.full / "bundle/1"), "files of backup"),
    ("truncated bundle", lambda m, c: os.truncate(c.backups / m.full / "bundle/1", 2**20), "is invalid"),
    ("lost bundle", lambda m, c: remove(c.backups / m.full / "bundle/2"), "missing"),
    ("flipped byte in WAL", lambda m, c: flip(c.wal(HOLE)), "1 of 8 files of the WAL"),
    ("flipped byte in a manifest", lambda m, c: flip(c.backups / m.diff / "backup.manifest"), "copy differ"),
    ("flipped byte in backup.info", lambda m, c: flip(c.backups / "backup.info"), "copy differ"),
    ("lost folder of a backup", lambda m, c: remove(c.backups / m.full), "passed over"),
]
IN_NAMES: list[tuple[str, Damage, Code, str]] = [
    ("backup.info", lambda m, c: remove(c.backups / "backup.info"), Code.INTEGRITY, "backup.info is missing"),
    ("empty copy", lambda m, c: os.truncate(c.backups / "backup.info.copy", 0), Code.INTEGRITY, "copy is missing"),
    ("both", lambda m, c: remove(*c.backups.glob("backup.info*")), Code.INTEGRITY, "missing stanza data"),
    ("flipped both", lambda m, c: [*map(flip, c.backups.glob("backup.info*"))], Code.INTEGRITY, "unable to load"),
    ("archive.info", lambda m, c: remove(*c.archive.glob("archive.info*")), Code.INTEGRITY, "unable to load"),
    ("manifest", lambda m, c: remove(*c.backups.glob(f"{m.full}/backup.manifest*")), Code.INTEGRITY, "manifest is mi"),
    ("WAL hole", lambda m, c: remove(c.wal(HOLE)), Code.WAL_GAP, f"WAL {HOLE} is missing"),
    ("stop WAL", lambda m, c: remove(c.wal(stop(m, c))), Code.WAL_GAP, "cannot be restored: WAL"),
    ("all WAL", lambda m, c: remove(c.archive / "15-1"), Code.WAL_GAP, "cannot be restored: WAL"),
    ("newest WAL", lambda m, c: remove(c.wal(m.last_archived)), Code.WAL_GAP, "0F is missing"),
    ("all backups", lambda m, c: remove(c.backups, c.archive), Code.INTEGRITY, "there is no backup"),
]


def stop(made: Rig, copy: Copy) -> str:
    """Return the last segment that the full backup needs."""
    return next(each.stop_wal for each in copy.repository.info().backups if each.label == made.full)


@pytest.mark.parametrize(("damage", "words"), [case[1:] for case in IN_BYTES], ids=[case[0] for case in IN_BYTES])
def test_damage_in_bytes_that_verify_hides_behind_0_is_found(made: Rig, copy: Copy, damage: Damage, words: str) -> None:
    damage(made, copy)
    still_says_nothing(copy, "verify", "--output=text", "--verbose")
    findings = copy.repository.verify()
    assert {finding.code for finding in findings} == {Code.INTEGRITY}
    assert any(words in finding.what for finding in findings), findings
    assert all(finding.hint for finding in findings)


@pytest.mark.parametrize(
    ("damage", "code", "words"), [case[1:] for case in IN_NAMES], ids=[case[0] for case in IN_NAMES]
)
def test_damage_in_names_is_found_without_reading_a_byte(
    made: Rig, copy: Copy, damage: Damage, code: Code, words: str
) -> None:
    damage(made, copy)
    still_says_nothing(copy, "verify", "--output=text", "--verbose")
    still_says_nothing(copy, "info", "--output=json")
    findings = copy.repository.verify(contents=False, last_archived=made.last_archived)
    assert {finding.code for finding in findings} == {code}
    assert any(words in finding.what for finding in findings), findings
    assert all(finding.hint for finding in findings)


def test_only_postgresql_knows_that_the_newest_wal_was_there(made: Rig, copy: Copy) -> None:
    remove(copy.wal(made.last_archived))
    assert copy.repository.verify(contents=False) == []
    assert copy.repository.verify(contents=False, last_archived="00000002.history") == []


def test_a_segment_that_is_there_twice_is_found(copy: Copy) -> None:
    path = copy.wal(HOLE)
    other = path.with_name(path.name.replace("-", "-0", 1)[: -len(".zst") - 1] + ".zst")
    subprocess.run(["cp", "-a", str(path), str(other)], check=True)
    (finding,) = copy.repository.verify(contents=False)
    assert finding.code == Code.INTEGRITY and "twice" in finding.what


def test_check_says_nothing_about_older_wal(made: Rig) -> None:
    live, wal = made.live, made.live.wal(HOLE)
    wal.rename(made.root / "aside")
    try:
        still_says_nothing(live, "check")
        live.repository.check()
        assert [finding.code for finding in live.repository.verify(contents=False)] == [Code.WAL_GAP]
    finally:
        (made.root / "aside").rename(wal)


def test_check_pgbackrest_is_a_second_opinion(made: Rig, copy: Copy) -> None:
    remove(copy.wal(HOLE))
    (finding,) = copy.repository.check_pgbackrest()
    assert finding.code == Code.WAL_GAP
    remove(copy.backups, copy.archive)
    assert [each.code for each in copy.repository.check_pgbackrest()] == [Code.WAL_GAP, Code.INTEGRITY]
    with pytest.raises(BackupError) as caught:
        Repository(replace(copy.config, checker="/nonexistent")).check_pgbackrest()
    assert caught.value.code == Code.CONFIG


def test_a_wrong_passphrase_is_told_apart_from_damage(made: Rig, copy: Copy, scratch: Path) -> None:
    wrong = made.opened(copy.root, passphrase="another-one-altogether", name="wrong")
    still_says_nothing(wrong, "info", "--output=json")
    still_says_nothing(wrong, "verify", "--output=text", "--verbose")
    assert [finding.code for finding in wrong.repository.verify()] == [Code.KEY]
    calls: list[Callable[[], object]] = [
        wrong.repository.info,
        wrong.repository.stanza_create,
        lambda: wrong.repository.backup("full"),
        lambda: wrong.repository.set_for(datetime.now(UTC)),
        wrong.repository.check,
    ]
    for call in calls:
        with pytest.raises(BackupError) as caught:
            call()
        assert caught.value.code == Code.KEY
        assert caught.value.hint
        assert caught.value.message.isascii() and "another-one" not in caught.value.message
    with pytest.raises(BackupError):
        wrong.repository.restore(RestoreRequest(scratch))
    assert [*scratch.iterdir()] == []


@contextlib.contextmanager
def started(made: Rig, data: Path, *options: str) -> Iterator[Path]:
    """Run a restored cluster once it has recovered, and give the folder of its socket."""
    sockets = data.with_name(f"{data.name}-sockets")
    sockets.mkdir()
    own(sockets, 0o700)
    with cluster(data, sockets, made.root / f"log/{data.name}.log", *options):
        until(lambda: made.sql("SELECT pg_is_in_recovery()", sockets=sockets) == "f")
        yield sockets


def recovered(made: Rig, data: Path, look: str) -> tuple[str, str]:
    """Return what a restored cluster answers, and whether it would archive."""
    with started(made, data) as sockets:
        return made.sql(look, sockets=sockets), made.sql("SHOW archive_mode", sockets=sockets)


NAMES = "SELECT string_agg(name, ' ' ORDER BY at) FROM beat"


def test_a_restore_to_a_point_in_time_holds_what_was_before_and_not_what_was_after(
    made: Rig, copy: Copy, scratch: Path
) -> None:
    side = scratch.with_name(f"{scratch.name}-side")
    request = RestoreRequest(scratch, "time", at=made.before, tablespace_dir=side)
    restored = copy.repository.restore(request)
    assert restored.label == made.diff
    assert restored.seconds > 0
    assert [link.readlink().is_relative_to(side) for link in (scratch / "pg_tblspc").iterdir()] == [True]
    assert recovered(made, scratch, NAMES) == ("one two before", "off")
    assert made.sql("SELECT one FROM aside") == "1"


def test_a_second_restore_goes_along_the_timeline_that_the_first_one_began(
    made: Rig, copy: Copy, scratch: Path
) -> None:
    side = scratch.with_name(f"{scratch.name}-side")
    copy.repository.restore(RestoreRequest(scratch, "time", at=made.before, tablespace_dir=side))
    push = f"pgbackrest --config={copy.config.config_file} --stanza={STANZA} --pg1-path={scratch} archive-push %p"
    with started(made, scratch, "-c archive_mode=on", f'-c archive_command="{push}"') as sockets:
        made.sql("INSERT INTO beat VALUES ('branch')", sockets=sockets)
        branched = made.clock(sockets=sockets)
        made.sql("INSERT INTO beat VALUES ('later')", sockets=sockets)
        next_second()
        last = made.switch(sockets=sockets)
    known = copy.repository.windows()
    assert (last[:8], known.timeline, known.breaks, known.unusable) == ("00000002", 2, (), ())
    assert [window.last_wal for window in known.windows] == [last]
    assert copy.repository.windows(timeline=1).windows[0].last_wal == made.last_archived
    assert copy.repository.verify(contents=False, last_archived=last) == []
    again = scratch.with_name(f"{scratch.name}-again")
    again.mkdir()
    own(again, 0o700)
    copy.repository.restore(RestoreRequest(again, "time", at=branched, tablespace_dir=Path(f"{again}-side")))
    assert recovered(made, again, NAMES) == ("one two before branch", "off")
    history = next(copy.archive.glob("*/00000002.history*"))
    history.rename(f"{history}.aside")
    (finding,) = copy.repository.verify(contents=False)
    assert finding.code == Code.WAL_GAP and "no 00000002.history" in finding.what
    Path(f"{history}.aside").rename(history)
    # The first block behind the salt; of what stands behind the LSN, neither we nor PostgreSQL make use.
    flip(history, at=20)
    finding = copy.repository.verify(contents=False)[0]
    assert finding.code == Code.INTEGRITY and "00000002.history" in finding.what
    with pytest.raises(BackupError) as caught:
        copy.repository.windows()
    assert caught.value.code == Code.INTEGRITY


def test_without_a_time_all_wal_is_replayed_and_a_second_restore_needs_delta(
    made: Rig, copy: Copy, scratch: Path
) -> None:
    request = RestoreRequest(scratch, label=made.full, tablespace_dir=scratch.with_name(f"{scratch.name}-side"))
    assert copy.repository.restore(request).label == made.full
    with pytest.raises(BackupError) as caught:
        copy.repository.restore(request)
    assert caught.value.code == Code.TARGET_REFUSED
    copy.repository.restore(replace(request, delta=True))
    assert recovered(made, scratch, NAMES) == ("one two before after newest", "off")


def test_immediate_stops_where_the_backup_ended(made: Rig, copy: Copy, scratch: Path) -> None:
    side = scratch.with_name(f"{scratch.name}-side")
    copy.repository.restore(RestoreRequest(scratch, "immediate", label=made.diff, tablespace_dir=side))
    assert recovered(made, scratch, NAMES) == ("one two", "off")


def test_a_time_that_cannot_be_reached_is_refused_before_anything_is_copied(
    made: Rig, copy: Copy, scratch: Path
) -> None:
    repository, now = copy.repository, datetime.now(UTC)
    full, diff = repository.info().current
    begin = datetime.fromtimestamp(full.opens, UTC)
    assert repository.set_for(begin).label == made.full
    assert made.before is not None
    assert repository.set_for(made.before).label == made.diff
    assert repository.set_for(made.before, made.full).label == made.full
    remove(copy.wal(HOLE))
    refused = {
        now + timedelta(hours=1): "in the future",
        now - timedelta(days=900): "before the first backup",
        begin - timedelta(milliseconds=1): "before the first backup",
        datetime.fromtimestamp(diff.opens - 0.1, UTC): "in a gap",
        now - timedelta(milliseconds=1): "after the newest WAL",
    }
    for at, words in refused.items():
        with pytest.raises(BackupError, match=words) as caught:
            repository.restore(RestoreRequest(scratch, "time", at=at))
        assert caught.value.code == Code.TARGET_TIME
        assert caught.value.hint
    with pytest.raises(BackupError, match="cannot be reached from"):
        repository.set_for(made.before, made.full)
    for request in (RestoreRequest(scratch, "time"), RestoreRequest(scratch, at=now)):
        with pytest.raises(BackupError, match="belongs to"):
            repository.restore(request)
    with pytest.raises(BackupError, match="no time zone"):
        repository.set_for(datetime(2026, 1, 1))  # noqa: DTZ001
    assert [*scratch.iterdir()] == []
    assert repository.set_for(made.before).label == made.diff


def test_a_target_that_somebody_uses_is_left_alone(made: Rig, copy: Copy, scratch: Path) -> None:
    cases = {made.data: "running", scratch: "contains files"}
    (scratch / "mine").touch()
    for target, words in cases.items():
        for delta in (False, True):
            with pytest.raises(BackupError, match=words) as caught:
                copy.repository.restore(RestoreRequest(target, delta=delta, tablespace_dir=made.root / "nowhere"))
            assert caught.value.code == Code.TARGET_REFUSED
    (scratch / "mine").unlink()
    # Without a place for tablespaces, a drill would write where the living cluster has them.
    with pytest.raises(BackupError, match="side") as caught:
        copy.repository.restore(RestoreRequest(scratch))
    assert caught.value.code == Code.TARGET_REFUSED
    with pytest.raises(BackupError, match="no backup 2020") as caught:
        copy.repository.restore(RestoreRequest(scratch, label="20200101-010101F"))
    assert caught.value.code == Code.TARGET_REFUSED
    assert [*scratch.iterdir()] == []
    with pytest.raises(BackupError, match="no absolute path"):
        copy.repository.restore(RestoreRequest(Path("here")))


@pytest.mark.parametrize("at", [0, 100_000, -1])
def test_a_damaged_backup_fails_to_restore_loudly(made: Rig, copy: Copy, scratch: Path, at: int) -> None:
    """The damage shows as a wrong checksum, in what cannot be unpacked, or, in a last block, not deciphered."""
    flip(copy.backups / made.full / "bundle/1", at)
    side = scratch.with_name(f"{scratch.name}-side")
    with pytest.raises(BackupError) as caught:
        copy.repository.restore(RestoreRequest(scratch, label=made.full, tablespace_dir=side))
    assert caught.value.code == Code.INTEGRITY
    assert not (scratch / "global/pg_control").exists()


def test_a_full_disk_is_told(copy: Copy, scratch: Path) -> None:
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=777", "tmpfs", str(scratch)], check=False)
    if mounted.returncode:
        pytest.skip("cannot mount a small file system here")
    own(scratch, 0o700)
    try:
        side = scratch.with_name(f"{scratch.name}-side")
        with pytest.raises(BackupError, match=r"bytes, [0-9,]* are free") as caught:
            copy.repository.restore(RestoreRequest(scratch, tablespace_dir=side))
        assert caught.value.code == Code.NO_SPACE
        assert [*scratch.iterdir()] == []
        with pytest.raises(BackupError, match="unable to write") as caught:
            copy.repository.restore(RestoreRequest(scratch, tablespace_dir=side, delta=True))
        assert caught.value.code == Code.NO_SPACE
        assert not (scratch / "global/pg_control").exists()
    finally:
        subprocess.run(["umount", "--lazy", str(scratch)], check=True)


@contextlib.contextmanager
def bucket(root: Path, status: int) -> Iterator[tuple[int, Path]]:
    """Run a storage that answers everything with one status; gives its port and the authority to trust."""
    key, certificate = root / "bucket.key", root / "bucket.crt"
    request = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "1",
    ]
    files = ["-keyout", str(key), "-out", str(certificate), "-subj", "/CN=localhost"]
    subprocess.run([*request, *files, "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)

    class Answer(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_PUT = do_POST = do_DELETE = do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        server.daemon_threads = True
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1], certificate
        server.shutdown()


def wrapped(copy: Copy, made: Rig, failures: int) -> tuple[Repository, Path]:
    """Return a door to a pgbackrest whose storage asks to come back later so many times, and the log of its calls."""
    log, program = made.root / f"calls{next(numbers)}", made.root / f"wrapper{next(numbers)}"
    program.write_text(WRAPPER.format(log=log, failures=failures))
    program.chmod(0o755)
    log.touch()
    own(log, 0o600)
    made.root.chmod(0o777)
    return Repository(replace(copy.config, binary=str(program))), log


def test_a_storage_that_asks_to_come_back_later_is_asked_again(made: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGBACKREST_REPO1_PATH", "/nonexistent")
    repository, log = wrapped(made.live, made, failures=3)
    before = len(repository.info().backups)
    label = repository.backup("incr")
    assert label.endswith("I") and len(repository.info().backups) == before + 1
    said = log.read_text()
    assert "--type=incr" in said and PASSPHRASE not in said and "nonexistent" not in said


def test_it_is_not_asked_for_ever(made: Rig, copy: Copy) -> None:
    repository, log = wrapped(copy, made, failures=99)
    with pytest.raises(BackupError, match="429") as caught:
        repository.backup("full")
    assert caught.value.code == Code.STORAGE_TRANSIENT
    assert len(Path(f"{log}.count").read_text().splitlines()) == 4


def test_a_running_backup_is_not_disturbed(made: Rig) -> None:
    lock = made.root / f"lock/{STANZA}-backup.lock"
    with lock.open("a") as held:
        own(lock, 0o640)
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(BackupError, match="lock") as caught:
            made.live.repository.backup("full")
        assert caught.value.code == Code.CLAIMED
    lock.chmod(0)
    try:
        with pytest.raises(BackupError) as caught:
            made.live.repository.backup("full")
        assert caught.value.code == Code.CONFIG
    finally:
        lock.chmod(0o640)


def test_wal_that_does_not_arrive_is_told(made: Rig) -> None:
    made.sql("ALTER SYSTEM SET archive_command = 'exit 1 # pgbackrest'")
    made.sql("SELECT pg_reload_conf()")
    try:
        with pytest.raises(BackupError) as caught:
            made.live.repository.check()
        assert caught.value.code == Code.ARCHIVER
        assert "pg_stat_archiver" in caught.value.hint
    finally:
        made.sql("ALTER SYSTEM RESET archive_command")
        made.sql("SELECT pg_reload_conf()")


def test_a_repository_that_may_not_be_read_is_no_empty_one(made: Rig, copy: Copy) -> None:
    copy.backups.chmod(0)
    try:
        for call in (copy.repository.info, copy.repository.verify, lambda: copy.repository.backup("full")):
            with pytest.raises(BackupError) as caught:
                call()
            assert caught.value.code == Code.STORAGE_DENIED
    finally:
        copy.backups.chmod(0o750)


@pytest.mark.parametrize(("status", "code"), [(403, Code.STORAGE_DENIED), (429, Code.STORAGE_TRANSIENT)])
def test_a_bucket_that_refuses_is_told(made: Rig, status: int, code: Code) -> None:
    with bucket(made.root, status) as (port, authority):
        more = S3.format(port=port, authority=authority)
        refused = made.opened(Path("/shop"), more=more, name=f"bucket{status}").repository
        for call in (refused.info, refused.archive_names):
            with pytest.raises(BackupError, match=str(status)) as caught:
                call()
            assert caught.value.code == code
            assert "very-secret" not in caught.value.message
    with pytest.raises(BackupError) as caught:
        refused.archive_names()
    assert caught.value.code == Code.STORAGE_TRANSIENT


def test_a_cluster_that_does_not_answer_is_told(made: Rig, copy: Copy) -> None:
    text = copy.config.config_file.read_text()
    copy.config.config_file.write_text(text.replace("/sockets", "/nowhere"))
    with pytest.raises(BackupError) as caught:
        copy.repository.backup("full")
    assert caught.value.code == Code.DATABASE_UNREACHABLE


def test_a_new_repository_is_empty_and_not_damaged(made: Rig) -> None:
    (made.root / "new").mkdir()
    own(made.root / "new", 0o750)
    new = made.opened(made.root / "new").repository
    assert (new.info().code, new.info().backups) == (1, ())
    new.stanza_create()
    new.stanza_create()
    assert (new.info().code, new.info().backups) == (2, ())
    assert [finding.what for finding in new.verify()] == ["there is no backup: no valid backups"]
    with pytest.raises(BackupError, match="there is no backup"):
        new.set_for(datetime.now(UTC))


def test_the_file_with_the_passphrase_must_be_private(copy: Copy) -> None:
    copy.config.config_file.chmod(0o644)
    with pytest.raises(BackupError, match="everyone") as caught:
        copy.repository.info()
    assert caught.value.code == Code.CONFIG
    copy.config.config_file.unlink()
    with pytest.raises(BackupError, match="cannot be read"):
        copy.repository.info()
    with pytest.raises(BackupError, match="absolute"):
        Repository(RepositoryConfig(STANZA, config_file=Path("pgbackrest.conf")))


def test_a_program_that_hangs_is_ended(made: Rig, copy: Copy) -> None:
    program, mark = made.root / "hangs", made.root / "ended"
    program.write_text(f"#!/bin/sh\ntrap 'touch {mark}; kill $!; exit 63' TERM\nsleep 30 & wait\n")
    program.chmod(0o755)
    made.root.chmod(0o777)
    with pytest.raises(BackupError) as caught:
        Repository(replace(copy.config, binary=str(program), short_seconds=0.5)).info()
    assert caught.value.code == Code.STORAGE_TRANSIENT
    assert mark.exists()
    with pytest.raises(BackupError) as caught:
        Repository(replace(copy.config, binary="/nonexistent")).info()
    assert caught.value.code == Code.CONFIG
