"""Make the objects of a dump from one snapshot, through zstd and age, so that none can end early unseen."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..masking import mask
from .errors import BackupError, Code
from .pipes import BLOCK, Chain, Ended, Silent, write_all
from .snapshots import Snapshot, snapshot

__all__ = ["Made", "Pipeline", "Snapshot", "check_recipients", "pack", "read_back", "snapshot"]

QUIET_SECONDS = 900.0
LEVEL = 3


@dataclass(frozen=True)
class Made:
    """An object that was made completely.

    `plain_bytes` is what the program wrote, `zstd_*` what age encrypted, `bytes` and `sha256` what was handed out.
    `peak_rss_bytes` is the sum of the programs' peaks. `warnings` names what tar let pass.
    """

    plain_bytes: int
    zstd_bytes: int
    zstd_sha256: str
    bytes: int
    sha256: str
    seconds: float
    cpu_seconds: float
    peak_rss_bytes: int
    programs: tuple[Ended, ...]
    warnings: str = ""


@dataclass
class _Flow:
    """What went by. The threads know only this, so a pipeline that everybody forgot is ended like a closed one."""

    plain: int = 0
    zstd: int = 0
    digest: Any = field(default_factory=hashlib.sha256)

    def count(self, source: int, sink: int) -> None:
        while moved := os.splice(source, sink, BLOCK):
            self.plain += moved

    def hash(self, source: int, sink: int) -> None:
        while block := os.read(source, BLOCK):
            self.digest.update(block)
            self.zstd += len(block)
            write_all(sink, block)


@dataclass
class Pipeline:
    """`command | zstd | age`, given out as blocks of 1 MiB; used once, in constant memory, with nothing on disk.

    The last block comes only after every program ended with 0, so what a reader has of a dump that died cannot be
    decrypted to its end. Raises DUMP_FAILED with the last words of the program at fault, DATABASE_UNREACHABLE,
    VERSION_MISMATCH, KEY for unusable recipients, CONFIG for a missing program. `environment` goes to the command
    alone; passwords travel there (PGPASSFILE, PGPASSWORD) and are masked in every message. `tolerate` may let an end
    with another code pass. Closing it, also from another thread while the reader stalls, ends every program.

    The hash in the middle is of zstd's stream: it is what age was given, so it proves a decryption as the plaintext's
    would, for a third of the bytes through Python; zstd's own checksum binds the plaintext to it. Plaintext is only
    counted, by splice(2), without being copied.
    """

    command: Sequence[str]
    recipients: Path
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    quiet_seconds: float = QUIET_SECONDS
    tolerate: Callable[[Ended], bool] = lambda _: False
    _chain: Chain = field(default_factory=Chain, init=False, repr=False)
    _blocks: Iterator[bytes] | None = field(default=None, init=False, repr=False)
    _made: Made | None = field(default=None, init=False, repr=False)
    _flow: _Flow = field(default_factory=_Flow, init=False, repr=False)

    def __iter__(self) -> Iterator[bytes]:
        if self._blocks is None:
            check_recipients(self.recipients)
            self._blocks = self._give()
        return self._blocks

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every program, however far they are."""
        self._chain.kill()
        blocks = self._blocks
        if blocks is not None:
            # A reader that is waiting inside finds its programs dead and cleans up itself.
            with contextlib.suppress(ValueError):
                blocks.close()  # type: ignore[attr-defined]

    @property
    def made(self) -> Made:
        """What was made; asked for before the end, it raises DUMP_FAILED."""
        if self._made is None:
            raise BackupError(
                Code.DUMP_FAILED, f"{Path(self.command[0]).name} was not read to its end", hint="run the backup again"
            )
        return self._made

    def _give(self) -> Iterator[bytes]:
        started, count, digest, held = time.monotonic(), 0, hashlib.sha256(), b""
        try:
            for block in self._chain.blocks(self._start(), self.quiet_seconds):
                digest.update(block)
                count += len(block)
                if held:
                    yield held
                held = block
            ended = self._chain.wait()
            warnings = self._judge(ended)
            self._made = Made(
                self._flow.plain,
                self._flow.zstd,
                self._flow.digest.hexdigest(),
                count,
                digest.hexdigest(),
                time.monotonic() - started,
                sum(one.cpu_seconds for one in ended),
                sum(one.peak_rss_bytes for one in ended),
                tuple(ended),
                warnings,
            )
            yield held
        except Silent as error:
            raise self._failure(Code.DUMP_FAILED, f"{Path(self.command[0]).name}: {error}") from error
        finally:
            self._chain.end()

    def _start(self) -> int:
        chain, flow = self._chain, self._flow
        plain, plain_in = chain.pipe()
        chain.start(self.command, stdin=None, stdout=plain_in, environment=self.environment)
        to_zstd, zstd_in = chain.pipe()
        packed, packed_in = chain.pipe()
        chain.start(["zstd", f"-{LEVEL}", "--check", "--quiet", "--stdout"], stdin=to_zstd, stdout=packed_in)
        to_age, age_in = chain.pipe()
        sealed, sealed_in = chain.pipe()
        chain.start(["age", "--encrypt", "--recipients-file", str(self.recipients)], stdin=to_age, stdout=sealed_in)
        chain.relay(lambda: flow.count(plain, zstd_in), plain, zstd_in)
        chain.relay(lambda: flow.hash(packed, age_in), packed, age_in)
        return sealed

    def _judge(self, ended: Sequence[Ended]) -> str:
        """Raise unless all ended well; return the words of one whose end was tolerated."""
        warnings = ""
        # Who dies takes along those before it by SIGPIPE, and those after it see an ordinary end: the last is at fault.
        for one in reversed(ended):
            if one.code != 0 and self.tolerate(one):
                warnings = one.words
            elif one.code != 0:
                raise self._failure(_code_of(one), f"{one.name} {one.how}: {one.tail or 'it said nothing'}")
        if self._chain.trouble is not None:
            raise self._failure(Code.DUMP_FAILED, f"the pipeline broke: {self._chain.trouble}") from self._chain.trouble
        if self._flow.plain == 0:
            raise self._failure(Code.DUMP_FAILED, f"{ended[0].name} ended with 0 and wrote nothing")
        return warnings

    def _failure(self, code: Code, message: str) -> BackupError:
        secrets = [value for name, value in self.environment.items() if "PASSWORD" in name and value]
        return BackupError(code, mask(message, secrets), hint=HINTS.get(code, HINTS[Code.DUMP_FAILED]))


HINTS = {
    Code.DUMP_FAILED: "nothing of it counts as a backup; mend the cause and run the job again",
    Code.DATABASE_UNREACHABLE: "systemctl status postgresql; check the host, port and role of the backup's settings",
    Code.VERSION_MISMATCH: "install the postgresql-client of the server's major version",
    Code.KEY: "write one public key (age1...) a line into the recipients' file; age-keygen -y prints an identity's",
}


def _code_of(one: Ended) -> Code:
    if one.name == "age" and "recipient" in one.words:
        return Code.KEY
    if "server version mismatch" in one.words:
        return Code.VERSION_MISMATCH
    if re.search(r"connection to server .* failed|could not translate host name|the database system is", one.words):
        return Code.DATABASE_UNREACHABLE
    return Code.DUMP_FAILED


def check_recipients(recipients: Path) -> None:
    """Raise KEY unless the file names a recipient: what cannot be encrypted is never written in the clear."""
    try:
        lines = [line.strip() for line in recipients.read_text().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise BackupError(Code.KEY, f"{recipients} cannot be read: {reason}", hint=HINTS[Code.KEY]) from error
    if not any(line and not line.startswith("#") for line in lines):
        raise BackupError(Code.KEY, f"{recipients} names no recipient", hint=HINTS[Code.KEY])
    if any("AGE-SECRET-KEY" in line for line in lines):
        raise BackupError(
            Code.KEY, f"{recipients} holds a secret key, which must not be on this host", hint=HINTS[Code.KEY]
        )


def pack(paths: Sequence[Path], recipients: Path) -> Pipeline:
    """Return a pipeline that packs files and directories as tar, named from the root without the leading slash.

    A directory that got a new file meanwhile is no fault, nor is a file that was deleted; a file that changed under
    the reader is torn, and raises DUMP_FAILED.
    """
    names = [str(path.absolute()).lstrip("/") for path in paths]
    options = ["--format=posix", "--pax-option=delete=atime,delete=ctime", "--sort=name", "--quoting-style=literal"]
    command = ["tar", "--create", "--file=-", *options, "--directory=/", "--", *names]
    return Pipeline(command, recipients, tolerate=_no_file_is_torn)


def _no_file_is_torn(one: Ended) -> bool:
    def harmless(line: str) -> bool:
        if line.endswith(": File removed before we read it"):
            return True
        changed = re.fullmatch(r"tar: (.*): file changed as we read it", line)
        return changed is not None and not Path("/", changed[1]).is_file()

    return (
        one.name == "tar" and one.code == 1 and not one.cut and all(harmless(line) for line in one.words.splitlines())
    )


def read_back(chunks: Iterable[bytes], identity: Path, *, quiet_seconds: float = QUIET_SECONDS) -> Iterator[bytes]:
    """Yield the plaintext of an object in blocks of 1 MiB, the last one only after age and zstd found it whole.

    Raises KEY when the identity opens nothing, INTEGRITY when the object is damaged or cut, and whatever `chunks`
    raises. A damaged header looks like a wrong identity; the manifest's hash of the object tells them apart.
    """
    if not os.access(identity, os.R_OK):
        raise BackupError(Code.KEY, f"{identity} cannot be read", hint=OPEN_HINT)
    return _read_back(chunks, identity, quiet_seconds)


def _read_back(chunks: Iterable[bytes], identity: Path, quiet_seconds: float) -> Iterator[bytes]:
    chain, held = Chain(), b""
    try:
        to_age, age_in = chain.pipe()
        opened, opened_in = chain.pipe()
        chain.start(["age", "--decrypt", "--identity", str(identity)], stdin=to_age, stdout=opened_in)
        plain, plain_in = chain.pipe()
        chain.start(["zstd", "--decompress", "--quiet", "--stdout"], stdin=opened, stdout=plain_in)
        chain.relay(lambda: _feed(chunks, age_in), age_in)
        for block in chain.blocks(plain, quiet_seconds):
            if held:
                yield held
            held = block
        _judge_reading(chain.wait(), chain.trouble)
        if held:
            yield held
    except Silent as error:
        raise BackupError(
            Code.STORAGE_TRANSIENT, f"reading back: {error}", hint="look at the storage, then run it again"
        ) from error
    finally:
        chain.end()


OPEN_HINT = "name the identity that belongs to one of the recipients at the time of the backup (age-keygen -y FILE)"


def _feed(chunks: Iterable[bytes], sink: int) -> None:
    for chunk in chunks:
        write_all(sink, chunk)


def _judge_reading(ended: Sequence[Ended], trouble: BaseException | None) -> None:
    if trouble is not None:
        raise trouble
    age, zstd = ended
    if age.code != 0 and re.search(r"identity|secret key", age.words):
        raise BackupError(Code.KEY, f"the identity opens nothing: {mask(age.words)}", hint=OPEN_HINT)
    for one in (age, zstd):
        if one.code != 0:
            raise BackupError(
                Code.INTEGRITY,
                f"the object is damaged or cut: {one.name} {one.how}: {one.tail or 'it said nothing'}",
                hint="restore from another set; verify tells which are whole",
            )
