"""Unpack the settings or the media of a set into an empty directory, and nothing anywhere else."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..masking import mask
from .chain import Entry
from .dump import read_back
from .errors import BackupError, Code
from .feeds import Feeds
from .logical_restore import drain, part_of, read_part
from .objects import Objects

# Nothing that exists is replaced or followed; tar itself refuses `..`, cuts a leading slash, and lays links last.
TAR = (
    "tar",
    "--extract",
    "--file=-",
    "--keep-old-files",
    "--delay-directory-restore",
    "--warning=no-timestamp",
    "--quoting-style=literal",
)


@dataclass(frozen=True)
class Unpacked:
    """How much came out; `left_out` names what is no file, and the links that lead out of the directory."""

    files: int
    bytes: int
    left_out: tuple[str, ...]


def unpack(
    objects: Objects,
    entry: Entry,
    role: str,
    identity: Path,
    directory: Path,
    say: Callable[[str], None] = lambda _: None,
) -> Unpacked:
    """Unpack one object of files into a directory that is empty or not there yet; its top stands for `/`.

    Raises TARGET_REFUSED before anything is read; INTEGRITY for an object that is not as signed, KEY, before anything
    is written; INTEGRITY for an archive that reaches outside. Whatever fails, the directory is empty again.
    """
    part = part_of(entry.manifest, role)
    _refuse(directory)
    drain(read_part(objects, part))
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        blocks = read_back(read_part(objects, part), identity)
        ended = Feeds().pour(blocks, [*TAR, f"--directory={directory}"], {})
        if ended.words:
            # tar mends what is hostile and says so; what we have packed needs no mending.
            raise _hostile(entry, part.key, ended.words)
        found = _look(directory)
    except BaseException as error:
        for path in directory.iterdir():
            _remove(path)
        if isinstance(error, BackupError) and error.code == Code.RESTORE_FAILED:
            raise _hostile(entry, part.key, error.message) from error
        raise
    for name in found.left_out:
        say(f"left out: {name}")
    return found


def _refuse(directory: Path) -> None:
    if directory.is_symlink() or (directory.exists() and not directory.is_dir()):
        raise BackupError(Code.TARGET_REFUSED, f"{directory} is no directory", hint="name an empty directory")
    if directory.exists() and any(directory.iterdir()):
        raise BackupError(
            Code.TARGET_REFUSED, f"{directory} is not empty, and no file is ever replaced", hint="name an empty one"
        )


def _hostile(entry: Entry, key: str, words: str) -> BackupError:
    return BackupError(
        Code.INTEGRITY,
        f"set {entry.seq}: tar does not take {key} as it is: {mask(words)}",
        hint="look at its listing before anything else: somebody may have written it who should not",
    )


def _look(top: Path) -> Unpacked:
    """Take away links that lead out and what is no file, and count the rest."""
    files, size, left_out, real_top = 0, 0, [], Path(os.path.realpath(top))
    for path in list(_walk(top)):
        about, name = path.lstat(), f"/{path.relative_to(top)}"
        if stat.S_ISREG(about.st_mode):
            files, size = files + 1, size + about.st_size
        elif not stat.S_ISLNK(about.st_mode):
            left_out.append(name)
            path.unlink()
        elif not Path(os.path.realpath(path)).is_relative_to(real_top):
            # An absolute link too: it would lead whoever works in here into the living host.
            left_out.append(f"{name} -> {os.readlink(path)}")
            path.unlink()
    return Unpacked(files, size, tuple(sorted(left_out)))


def _walk(top: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(top):
        for name in names:
            yield Path(folder, name)
        yield from (Path(folder, name) for name in folders if Path(folder, name).is_symlink())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
