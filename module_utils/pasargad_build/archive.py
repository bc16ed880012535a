"""Packs files into archives whose bytes depend on nothing but the names and contents of the files."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import zstandard

# Level 10 packs the wheels in seconds; level 19 would take a minute to save a tenth.
LEVEL = 10
# With workers, zstd cuts the input into jobs of a fixed size: the number of workers does not change the bytes.
WORKERS = 2


@dataclass(frozen=True)
class Member:
    """One file of an archive: its name inside, and its content as bytes or as a file to read."""

    name: str
    source: bytes | Path
    executable: bool = False


def tree(root: Path) -> list[Member]:
    """Return every regular file below a directory as members."""
    files = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    return [Member(path.relative_to(root).as_posix(), path, is_executable(path)) for path in files]


def is_executable(path: Path) -> bool:
    """Tell whether the owner may execute the file."""
    return bool(path.stat().st_mode & 0o100)


def pack(members: Iterable[Member], target: Path) -> None:
    """Write a tar.zst: sorted, without times, owners or umask, put in place by rename."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    compressor = zstandard.ZstdCompressor(level=LEVEL, threads=WORKERS)
    try:
        with (
            temporary.open("wb") as raw,
            compressor.stream_writer(raw) as packed,
            tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive,
        ):
            for member in sorted(members, key=lambda member: member.name):
                _add(archive, member)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _add(archive: tarfile.TarFile, member: Member) -> None:
    info = tarfile.TarInfo(member.name)
    info.mode = 0o755 if member.executable else 0o644
    info.mtime = 0
    if isinstance(member.source, bytes):
        info.size = len(member.source)
        archive.addfile(info, io.BytesIO(member.source))
    else:
        with member.source.open("rb") as source:
            info.size = os.fstat(source.fileno()).st_size
            archive.addfile(info, source)
