"""Turn what pgbackrest says when it fails into a code and the next step."""

from __future__ import annotations

import re
from typing import NamedTuple

from ..masking import mask
from ..shell import Finished
from .errors import BackupError, Code

# https://github.com/pgbackrest/pgbackrest/blob/release/2.45/src/build/error/error.yaml names the numbers.
TERMINATED = (63, 130, 143, -2, -15)
NOT_INSTALLED = (126, 127)
TIMED_OUT = (124, 137, -9)
# What cannot be deciphered comes back as noise, and a line of an info file may hold a key: no message may hold either.
ECHO = re.compile(r"(at line \d+).*")
NOISE = re.compile(r"[^\x20-\x7e]+")
KEY_WRONG = r"CryptoError|ERROR: \[095\]|unable to load info file.*outside of section"
AGAIN = "run it again; if it stays, try the storage's address by hand (DNS, firewall, certificate)"
LONGEST = 300


class Rule(NamedTuple):
    """A failure is told by an exit code, by words, or by both together."""

    codes: tuple[int, ...]
    words: str
    code: Code
    hint: str


RULES = (
    Rule(
        NOT_INSTALLED, "", Code.CONFIG, "apt-get install pgbackrest check-pgbackrest; does the configured user exist?"
    ),
    Rule(TERMINATED, "", Code.INTERRUPTED, "run it again: a backup resumes"),
    Rule(
        TIMED_OUT,
        "",
        Code.STORAGE_TRANSIENT,
        "see how far it came (pgbackrest info), then allow more time, or give it more processes: process-max",
    ),
    Rule(
        (),
        r"No space left on device|Disk quota exceeded|\[28\]",
        Code.NO_SPACE,
        "free space where the message says (df -h), then run it again; never delete from pg_wal by hand",
    ),
    Rule((50,), "Permission denied|No such file", Code.CONFIG, "let the user that runs pgbackrest write its lock-path"),
    Rule((50,), "", Code.CLAIMED, "another backup runs: pgbackrest info tells; run this again when it has ended"),
    Rule((62,), "", Code.CONFIG, "pgbackrest was stopped on purpose: pgbackrest start ends that"),
    Rule(
        (38,),
        "",
        Code.TARGET_REFUSED,
        "restore into an empty directory, or stop the cluster that runs there: pg_ctlcluster VERSION NAME stop",
    ),
    Rule(
        (40,),
        "",
        Code.TARGET_REFUSED,
        "restore into an empty directory; over an old cluster, a restore with delta replaces it",
    ),
    Rule((75,), "with stop time less than", Code.TARGET_TIME, "choose a time after the first backup: pgbackrest info"),
    Rule((75,), "is not valid", Code.TARGET_REFUSED, "choose a label that pgbackrest info lists"),
    Rule(
        (68, 82, 87),
        "",
        Code.ARCHIVER,
        "psql -c 'SELECT * FROM pg_stat_archiver' and PostgreSQL's log say why archive_command fails",
    ),
    Rule(
        (),
        KEY_WRONG,
        Code.KEY,
        "compare repo1-cipher-pass with the one in safe keeping; if it is the right one, the file is damaged: verify",
    ),
    Rule(
        (56, 57, 59, 80),
        "",
        Code.DATABASE_UNREACHABLE,
        "start the cluster (pg_lsclusters); pg1-path, pg1-socket-path and pg1-port must name it",
    ),
    Rule(
        (28, 44, 51, 58),
        r"system-id|do not match|does not match",
        Code.CONFIG,
        "the repository belongs to another cluster: give this one its own path; only after pg_upgrade: stanza-upgrade",
    ),
    Rule(
        (),
        r"with 403|AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|with 401|Permission denied",
        Code.STORAGE_DENIED,
        "check the storage's key and policy, or the owner of the path in the message",
    ),
    Rule((), "NoSuchBucket", Code.CONFIG, "create the bucket, or correct repo1-s3-bucket"),
    Rule((27, *range(30, 38), 48), "", Code.CONFIG, "correct pgbackrest's config file where the message says"),
    Rule(
        (),
        r"has a stanza-create been performed.*missing file|missing file.*has a stanza-create been performed",
        Code.CONFIG,
        "a new repository needs: pgbackrest stanza-create; if there were backups, their info files are gone: verify",
    ),
    Rule((29,), r"\[029\]: key/value found", Code.CONFIG, "correct pgbackrest's config file in the line that it names"),
    Rule(
        (),
        "unable to load (info|backup manifest) file",
        Code.INTEGRITY,
        "the repository is damaged: verify tells where",
    ),
    Rule((26, 29), "", Code.INTEGRITY, "another backup may be whole: pgbackrest info lists them, --set names one"),
    Rule((39, 49, 66, 101), "", Code.STORAGE_TRANSIENT, AGAIN),
    # info tells of these with exit code 0, so that there are only the words.
    Rule(
        (),
        r"with (408|429|5\d\d)|\[5\d\d\]|ProtocolError|ServiceError|HostConnectError|ProtocolTimeoutError",
        Code.STORAGE_TRANSIENT,
        AGAIN,
    ),
)


def failure(done: Finished, doing: str, otherwise: Code) -> BackupError:
    """Return the error for a pgbackrest that ended with another code than 0; `otherwise` is for what no rule knows."""
    said = done.stderr or done.stdout
    flat = " ".join(said.split())
    for rule in RULES:
        if (not rule.codes or done.code in rule.codes) and re.search(rule.words, flat):
            return BackupError(rule.code, message(said, done.code, doing), hint=rule.hint)
    hint = "pgbackrest --log-level-console=detail with the same command tells more"
    return BackupError(otherwise, message(said, done.code, doing), hint=hint)


def message(said: str, code: int, doing: str) -> str:
    """Return one line without secrets and without noise: what was being done, and what the program says of it."""
    lines = [ECHO.sub(r"\1", line).strip() for line in said.splitlines()]
    at = next((index for index, line in enumerate(lines) if line.startswith("ERROR:")), 0)
    told = " ".join(line for line in lines[at : at + 3] if line and not line.startswith("HINT:"))
    return f"pgbackrest {doing} ended with code {code}: {mask(NOISE.sub('?', told))[:LONGEST] or 'without a word'}"


def clean(text: str) -> str:
    """Return the first line of a status message, without secrets and noise."""
    return mask(NOISE.sub("?", ECHO.sub(r"\1", text).split("\n")[0]))[:LONGEST]


def throttled(done: Finished) -> bool:
    """Whether the storage asked to come back later: before 2.57 pgbackrest takes 429 for an end."""
    return done.code == 39 and re.search(r"\b429\b", done.stderr + done.stdout) is not None
