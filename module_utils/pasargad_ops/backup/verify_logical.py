"""Read every byte of logical sets, and where an identity is on this host, open them too."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .chain import Entry
from .dump import read_back
from .errors import BackupError, Code
from .manifest import Part
from .objects import Objects
from .pgbackrest_read import Finding
from .pipes import Chain, write_all
from .verify_round import Round
from .walk import HINT

# The object that holds the schema; its table of contents is read by PostgreSQL's own program.
SCHEMA = "pre"
QUIET_SECONDS = 900.0


@dataclass(frozen=True)
class Reader:
    """How objects are read: by their sums alone, or opened by `identity` and listed by `pg_restore`."""

    objects: Objects
    identity: Path | None
    pg_restore: Path

    def read(self, part: Part) -> None:
        """Read one object to its end; raises INTEGRITY, or KEY where the identity does not open a whole object."""
        if self.identity is None:
            self._sum(part)
            return
        try:
            plain = read_back(self._bytes(part), self.identity)
            if part.role == SCHEMA:
                list_contents(plain, self.pg_restore)
            else:
                for _ in plain:
                    pass
        except BackupError as error:
            if error.code == Code.KEY:
                # A damaged header looks like a wrong identity; the sum tells them apart.
                self._sum(part)
            raise

    def _bytes(self, part: Part) -> Iterator[bytes]:
        return self.objects.read(part.key, version=part.version, sha256=part.sha256)

    def _sum(self, part: Part) -> None:
        for _ in self._bytes(part):
            pass


def list_contents(plain: Iterable[bytes], program: Path) -> None:
    """Have pg_restore read a dump's table of contents, while the dump is read to its end; raises INTEGRITY."""
    chain = Chain()
    try:
        archive, archive_in = chain.pipe()
        told, told_in = chain.pipe()
        chain.start([str(program), "--list"], stdin=archive, stdout=told_in)
        chain.relay(lambda: _feed_all(plain, archive_in), archive_in)
        entries = sum(block.count(b"\n") for block in chain.blocks(told, QUIET_SECONDS))
        (ended,) = chain.wait(QUIET_SECONDS)
        if chain.trouble is not None:
            raise chain.trouble
        if ended.code or not entries:
            what = f"pg_restore cannot read the dump of the schema: {ended.how}: {ended.tail or 'it listed nothing'}"
            raise BackupError(Code.INTEGRITY, what, hint=HINT)
    finally:
        chain.end()


def _feed_all(plain: Iterable[bytes], sink: int) -> None:
    """Hand the dump over, and read on when pg_restore has seen enough: the rest must be whole as well."""
    enough = False
    for block in plain:
        try:
            if not enough:
                write_all(sink, block)
        except BrokenPipeError:
            enough = True


def read_share(text: str, weekday: int) -> tuple[int, int] | None:
    """Return a share such as "3/7" as numbers, None for all; "auto" is the day's seventh (`weekday` 1 to 7).

    Raises CONFIG for anything else.
    """
    if text == "":
        return None
    if text == "auto":
        return weekday, 7
    number, _, count = text.partition("/")
    fine = number.isdecimal() and count.isdecimal() and text.isascii()
    if not fine or not 1 <= int(number) <= int(count) <= 366:
        raise BackupError(Code.CONFIG, f"{text!r} is no share", hint="use 3/7, auto, or nothing for all")
    return int(number), int(count)


def chosen(entries: Sequence[Entry], share: tuple[int, int] | None) -> list[Entry]:
    """Return the logical sets of a share, by their run ids' hash, and always the newest: it is the one to be restored.

    Whole sets are shared out, so that each is proven by one run.
    """
    logical = [entry for entry in entries if entry.manifest.kind == "logical"]
    if share is None:
        return logical
    number, count = share

    def mine(entry: Entry) -> bool:
        return int(hashlib.sha256(entry.manifest.run_id.encode()).hexdigest()[:8], 16) % count == number - 1

    return [entry for entry in logical if entry is logical[-1] or mine(entry)]


def look_into_logical(round_: Round, entries: Sequence[Entry]) -> None:
    """Read the round's share of the logical sets."""
    config = round_.context.config
    reader = Reader(round_.context.objects, config.identity_file, config.cluster.bin_dir / "pg_restore")
    for entry in chosen(entries, round_.share):
        round_.say(f"reading set {entry.seq} ({entry.manifest.bytes:,} bytes)")
        for part in entry.manifest.objects:
            try:
                reader.read(part)
            except BackupError as error:
                if error.code == Code.INTERRUPTED:
                    raise
                what = f"set {entry.seq}: {error.message}"
                if part.key not in what:
                    what = f"set {entry.seq}: {part.key}: {error.message}"
                round_.find(2, Finding(error.code, what, error.hint), [entry.manifest.run_id])
        round_.reach([entry], 2)
