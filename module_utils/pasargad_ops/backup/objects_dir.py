"""Objects in a directory, for hosts without a bucket: as atomic as S3, without versions.

Sums and retention dates are extended attributes of the file itself, so that they appear and go with it; on a file
system without them `sha256` stays empty. Retention is kept by this door alone: root can remove the files.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, unquote

from ..files import sync_directory
from .errors import BackupError, Code
from .objects import (
    CHUNK_BYTES,
    PARTS,
    AlreadyThere,
    NotThere,
    Storage,
    Stored,
    Tally,
    Upload,
    check_key,
    check_prefix,
    refuse_large,
)

FILE_MODE, FOLDER_MODE = 0o640, 0o750
UPLOAD = re.compile(r"[0-9]+\.[0-9]+-[0-9a-f]+")
SUM, RETAIN = "user.pasargad.sha256", "user.pasargad.retain_until"
CODES = {
    errno.ENOSPC: (Code.NO_SPACE, "free space there (df -h; du -xh -d2 | sort -h | tail)"),
    errno.EDQUOT: (Code.NO_SPACE, "free space there, or raise the quota"),
    errno.EACCES: (Code.STORAGE_DENIED, "let the job's user write there (ls -ld; namei -l)"),
    errno.EPERM: (Code.STORAGE_DENIED, "let the job's user write there (ls -ld; lsattr -d)"),
    errno.EROFS: (Code.STORAGE_DENIED, "mount it for writing (findmnt; dmesg)"),
    errno.EIO: (Code.STORAGE_TRANSIENT, "look at the disk (dmesg; smartctl), then run the job again"),
    errno.ESTALE: (Code.STORAGE_TRANSIENT, "mount it again (findmnt), then run the job again"),
    errno.ELOOP: (Code.CONFIG, "remove the symbolic link: objects are files"),
}


class DirectoryObjects:
    """Objects as files below one directory; it must exist, so that an unmounted disk is not taken for an empty one."""

    def __init__(self, place: Storage) -> None:
        if place.directory is None or not place.directory.is_dir():
            raise BackupError(
                Code.CONFIG,
                f"the directory for backups, {place.directory}, does not exist",
                hint="mount or make it, or set pasargad_s3_backup_bucket in the inventory",
            )
        prefix = place.prefix.strip("/")
        self._top = place.directory.resolve()
        self._base = self._top / check_key(prefix) if prefix else self._top
        self._parts = self._base / PARTS

    def put(self, key: str, body: bytes, *, once: bool = False, retain_until: datetime | None = None) -> Stored:
        """Store a small object at once; raises AlreadyThere when `once` and the key exists."""
        return self.write(key, [body], once=once, retain_until=retain_until)

    def write(
        self,
        key: str,
        chunks: Iterable[bytes],
        *,
        estimate: int = 0,
        once: bool = True,
        retain_until: datetime | None = None,
        tier: str = "",
        beside: int = 1,
    ) -> Stored:
        """Store a stream; it is seen only when it is whole and on the disk. A directory has no tiers."""
        path = self._path(key)
        if once and path.exists():
            raise AlreadyThere(str(path))
        part = self._part(key, f"{datetime.now(UTC).timestamp():.6f}-{secrets.token_hex(8)}")
        try:
            with _explained(path):
                self._make(self._parts)
                file = _create(part)
            with file:
                tally = _fill(file, chunks, path)
                with _explained(path):
                    _keep(file, tally.sha256, retain_until)
                    os.fsync(file.fileno())
            with _explained(path):
                self._commit(part, path, once)
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
        stored = self.head(key)
        if stored is None or stored.bytes != tally.bytes:
            raise BackupError(Code.INTEGRITY, f"{path} is not what was written", hint="run the job again")
        return Stored(key, tally.bytes, tally.sha256, "", stored.modified, stored.retain_until)

    def get(self, key: str, *, version: str = "") -> bytes:
        """Return a small object; refuses more than 64 MiB, raises NotThere."""
        found = self.head(key)
        if found is not None:
            refuse_large(str(self._path(key)), found.bytes)
        return b"".join(self.read(key, version=version))

    def read(self, key: str, *, version: str = "", sha256: str = "") -> Iterator[bytes]:
        """Stream an object; at the end its size and its sum are compared, with `sha256` or else with the one kept."""
        path, tally = self._path(key), Tally()
        try:
            if version:
                raise FileNotFoundError
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            raise NotThere(f"{path}, version {version}," if version else str(path)) from None
        except OSError as error:
            raise _explain(error, path) from error
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            try:
                while chunk := file.read(CHUNK_BYTES):
                    tally.add(chunk)
                    yield chunk
            except OSError as error:
                raise _explain(error, path) from error
            tally.compare(str(path), os.fstat(descriptor).st_size, sha256 or _attribute(descriptor, SUM))

    def head(self, key: str) -> Stored | None:
        """Return what is known of the object, None where there is none."""
        path = self._path(key)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _explain(error, path) from error
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                return None
            until = _attribute(descriptor, RETAIN)
            modified = datetime.fromtimestamp(found.st_mtime, UTC)
            kept = datetime.fromisoformat(until) if until else None
            return Stored(key, found.st_size, _attribute(descriptor, SUM), "", modified, kept)
        finally:
            os.close(descriptor)

    def list(self, prefix: str) -> Iterator[Stored]:
        """Yield the objects whose keys begin with `prefix`, sorted by key."""
        for key, path in sorted(self._files(self._base, prefix)):
            with contextlib.suppress(FileNotFoundError):
                found = path.stat(follow_symlinks=False)
                yield Stored(key, found.st_size, "", "", datetime.fromtimestamp(found.st_mtime, UTC), None)

    def versions(self, prefix: str) -> Iterator[Stored]:
        """Yield what `list` does: a directory has one version of each object."""
        return self.list(prefix)

    def hide(self, key: str) -> None:
        """Delete an object; absent is fine, and one that is retained is refused: here nothing would be left of it."""
        path = self._path(key)
        self._refuse_retained(key, path)
        with _explained(path):
            try:
                path.unlink()
            except (FileNotFoundError, NotADirectoryError):
                return
            sync_directory(path.parent)
            self._tidy(path.parent)

    def markers(self, prefix: str) -> Iterator[Stored]:
        """Yield nothing: in a directory, what is hidden is gone."""
        check_prefix(prefix)
        return iter(())

    def bring_back(self, key: str, version: str) -> Stored:
        """Raise CONFIG: a directory has one version of each object."""
        raise BackupError(
            Code.CONFIG,
            f"{self._path(key)} has no older version: this storage keeps no versions",
            hint="restore the directory from where it is copied to",
        )

    def uploads(self, prefix: str) -> Iterator[Upload]:
        """Yield uploads that were begun and not ended, also those under way."""
        check_prefix(prefix)
        found = []
        with _explained(self._parts), contextlib.suppress(FileNotFoundError):
            for path in self._parts.iterdir():
                upload, _, quoted = path.name.partition("~")
                begun, _, _ = upload.partition("-")
                if UPLOAD.fullmatch(upload) and unquote(quoted).startswith(prefix):
                    found.append(Upload(unquote(quoted), upload, datetime.fromtimestamp(float(begun), UTC)))
        yield from sorted(found, key=lambda each: (each.key, each.id))

    def abort(self, upload: Upload) -> None:
        """Remove what an upload has stored so far; its writer fails, an upload that ended is fine."""
        part = self._part(upload.key, upload.id)
        with _explained(part):
            part.unlink(missing_ok=True)

    def now(self) -> datetime:
        """Return the time by this host's clock, UTC."""
        return datetime.now(UTC)

    def _part(self, key: str, upload: str) -> Path:
        """Return where an upload keeps its bytes; the name tells all, so that no crash leaves one that says nothing."""
        if not UPLOAD.fullmatch(upload):
            raise BackupError(Code.CONFIG, f"{upload!r} is no upload of a directory", hint="take it from the listing")
        return self._parts / f"{upload}~{quote(check_key(key), safe='')}"

    def _path(self, key: str) -> Path:
        path = self._base / check_key(key)
        if not path.parent.resolve().is_relative_to(self._top):
            raise BackupError(
                Code.CONFIG, f"{path} lies outside of {self._top}", hint="remove the symbolic link (namei -l)"
            )
        return path

    def _files(self, root: Path, prefix: str) -> Iterator[tuple[str, Path]]:
        """Yield keys and paths of files below `root`, beginning at the deepest folder that `prefix` names."""
        start = root / check_prefix(prefix).rpartition("/")[0]
        for folder, folders, files in os.walk(start, onerror=_fail_but_for_absence):
            folders[:] = [name for name in folders if name != PARTS]
            for name in files:
                path = Path(folder, name)
                key = path.relative_to(root).as_posix()
                if key.startswith(prefix) and not path.is_symlink():
                    yield key, path

    def _commit(self, part: Path, path: Path, once: bool) -> None:
        """Give the whole object its name: link(2) fails where the name is taken, rename(2) replaces."""
        for attempt in range(3):
            try:
                self._make(path.parent)
                if not once:
                    self._refuse_retained(path.relative_to(self._base).as_posix(), path)
                    part.rename(path)
                else:
                    os.link(part, path)
                break
            except FileExistsError:
                raise AlreadyThere(str(path)) from None
            except FileNotFoundError:
                if not part.exists():
                    raise BackupError(
                        Code.STORAGE_TRANSIENT,
                        f"somebody aborted the upload of {path}",
                        hint="run the job again; only uploads of dead runs should be aborted",
                    ) from None
                # Another job has just removed the empty folder.
                if attempt == 2:
                    raise
            except OSError as error:
                if once and error.errno in (errno.EPERM, errno.ENOTSUP, errno.EMLINK):
                    raise BackupError(
                        Code.CONFIG,
                        f"the file system of {self._top} has no hard links, which writing once needs",
                        hint="keep backups on ext4, xfs, btrfs or NFS",
                    ) from error
                raise
        sync_directory(path.parent)

    def _refuse_retained(self, key: str, path: Path) -> None:
        found = self.head(key)
        if found is not None and found.retain_until is not None and found.retain_until > self.now():
            raise BackupError(
                Code.STORAGE_DENIED,
                f"{path} is retained until {found.retain_until:%Y-%m-%d %H:%M} UTC",
                hint="wait until then; a directory has no versions that would keep it",
            )

    def _make(self, folder: Path) -> None:
        """Make missing folders and make them durable, each only readable for the group."""
        missing = [each for each in (folder, *folder.parents) if each.is_relative_to(self._top) and not each.exists()]
        for each in reversed(missing):
            with contextlib.suppress(FileExistsError):
                each.mkdir()
                each.chmod(FOLDER_MODE)
            sync_directory(each.parent)

    def _tidy(self, folder: Path) -> None:
        """Remove folders that became empty, so that listings stay short."""
        while folder != self._base and folder.is_relative_to(self._base):
            try:
                folder.rmdir()
            except OSError:
                return
            folder = folder.parent


def _create(part: Path) -> BinaryIO:
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    os.fchmod(descriptor, FILE_MODE)
    return os.fdopen(descriptor, "wb", buffering=0)


def _fill(file: BinaryIO, chunks: Iterable[bytes], path: Path) -> Tally:
    """Write the stream; only our own writing is explained, what `chunks` raises is the caller's."""
    tally = Tally()
    for chunk in chunks:
        rest = memoryview(chunk)
        tally.add(rest)
        while rest:
            try:
                rest = rest[file.write(rest) :]
            except OSError as error:
                raise _explain(error, path) from error
    return tally


def _keep(file: BinaryIO, sha256: str, retain_until: datetime | None) -> None:
    try:
        os.setxattr(file.fileno(), SUM, sha256.encode())
        if retain_until is not None:
            os.setxattr(file.fileno(), RETAIN, retain_until.astimezone(UTC).isoformat().encode())
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        if retain_until is not None:
            raise BackupError(
                Code.CONFIG,
                "the file system of the backups has no extended attributes, so nothing can be retained there",
                hint="keep backups on ext4, xfs or btrfs, or in a bucket with Object Lock",
            ) from error


def _attribute(descriptor: int, name: str) -> str:
    try:
        return os.getxattr(descriptor, name).decode()
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP):
            return ""
        raise


def _fail_but_for_absence(error: OSError) -> None:
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        raise _explain(error, Path(str(error.filename))) from error


def _explain(error: OSError, path: Path) -> BackupError:
    code, hint = CODES.get(error.errno or 0, (Code.CONFIG, "look at the path (namei -l; findmnt)"))
    return BackupError(code, f"{path}: {error.strerror or error}", hint=hint)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _explain(error, path) from error
