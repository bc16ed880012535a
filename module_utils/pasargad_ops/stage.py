"""Bring an artefact onto the host: verified by digest, unpacked beside, renamed into place."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import time
from pathlib import Path

from . import shell
from .artefact import Part, Release, digest_of, read_release
from .config import ReleaseConfig
from .files import sync_directory, write_json
from .outcome import Damaged, Refused

UNPACKED_RATIO = 6
SPARE_BYTES = 256 * 2**20


def missing_parts(config: ReleaseConfig, release: Release) -> list[Part]:
    """Return the parts that have to be sent: none for a release that is already staged. Its code may be here without
    its dependencies, for those belong to one Python and the host may have got another.
    """
    code, static, deps = release.wanted_parts(config.python_tag)
    parts = []
    if not read_release(config.releases / release.release):
        parts = [code] if static_is_here(config, static) else [code, static]
    if not (config.deps / release.deps_name(config.python_tag)).is_dir():
        parts.append(deps)
    return [part for part in parts if not _arrived(config, part)]


def static_is_here(config: ReleaseConfig, part: Part) -> bool:
    """Whether a release on this host came with the very same static files, and every one of them still lies here."""
    for path in config.releases.glob("*"):
        try:
            release = None if path.suffix == ".tmp" else read_release(path)
            if release and release.parts["static"].sha256 == part.sha256:
                files = [config.static / name for name in static_names(path)]
                return all(file.is_file() and file.stat().st_size for file in files)
        except (Damaged, OSError, KeyError, ValueError):
            # A damaged neighbour proves nothing; the files are sent.
            continue
    return False


def static_names(release_dir: Path) -> set[str]:
    """Return the hashed names that a release gives out; raises OSError, ValueError or KeyError without a manifest."""
    manifest = release_dir / "app" / "staticfiles" / "staticfiles.json"
    return set(json.loads(manifest.read_text())["paths"].values())


def _arrived(config: ReleaseConfig, part: Part) -> bool:
    path = incoming_path(config, part)
    return path.exists() and path.stat().st_size == part.size and digest_of(path) == part.sha256


def incoming_path(config: ReleaseConfig, part: Part) -> Path:
    """Where a part has to be put for `stage`; named after its digest so that a half copied file is never mistaken."""
    return config.incoming / f"{part.sha256[:16]}-{part.file}"


def require_space(config: ReleaseConfig, parts: list[Part]) -> None:
    """Refuse when the disk or its inodes would run out while unpacking."""
    needed = sum(part.size for part in parts) * UNPACKED_RATIO + SPARE_BYTES
    disk = os.statvfs(config.srv_dir)
    free = disk.f_bavail * disk.f_frsize
    if free < needed:
        raise Refused(
            f"{config.srv_dir} has {free // 2**20} MiB free, this release needs {needed // 2**20} MiB",
            hint=f"free space on {config.srv_dir} (du -xh -d2 {config.srv_dir} | sort -h), then run deploy.yml again",
        )
    if disk.f_files and disk.f_favail < 20_000:
        raise Refused(f"{config.srv_dir} has {disk.f_favail} inodes free", hint=f"delete files below {config.srv_dir}")


def verify_part(config: ReleaseConfig, part: Part) -> Path:
    """Return where the part lies; raises Damaged (and removes it) when it is not what its digest says."""
    path = incoming_path(config, part)
    if not path.exists():
        raise Damaged(f"{part.file} did not arrive", hint="run deploy.yml again")
    found = digest_of(path)
    if found != part.sha256:
        path.unlink()
        raise Damaged(
            f"{part.file} was damaged on the way: sha256 {found[:12]}…, wanted {part.sha256[:12]}…",
            hint="run deploy.yml again",
        )
    return path


def require_plain(archive: Path) -> None:
    """Raise Damaged unless the archive holds only files and directories that stay below where it is unpacked."""
    listing = shell.run(["tar", "--zstd", "-tvf", str(archive), "--quoting-style=escape"], timeout=300).stdout
    for line in listing.splitlines():
        kind, name = line[:1], line.split(maxsplit=5)[-1]
        if kind not in ("-", "d") or name.startswith("/") or ".." in Path(name).parts:
            raise Damaged(
                f"{archive.name} holds {name!r}, which does not belong into a release",
                hint="build the artefact again on a machine you trust: rm -r .build/artifacts; deploy.yml",
            )


def unpack(archive: Path, target: Path) -> None:
    """Unpack a .tar.zst into a new directory, readable by everybody and writable by its owner alone."""
    require_plain(archive)
    target.mkdir(parents=True)
    shell.run(
        ["tar", "--zstd", "-xf", str(archive), "-C", str(target), "--no-same-owner", "--no-same-permissions"],
        timeout=300,
    )
    shell.run(["chmod", "-R", "u=rwX,go=rX", str(target)], timeout=120)


def stage_deps(config: ReleaseConfig, release: Release) -> bool:
    """Unpack and compile the dependencies once per digest; return whether there was anything to do."""
    target = config.deps / release.deps_name(config.python_tag)
    if target.is_dir():
        return False
    part = release.parts[f"deps-{config.python_tag}"]
    archive = verify_part(config, part)
    temporary = target.with_name(target.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    unpack(archive, temporary)
    # Bytecode with hashes instead of times: the tree stays valid whatever its times are.
    shell.run(
        [
            "/usr/bin/python3",
            "-m",
            "compileall",
            "-q",
            "-j",
            "0",
            "--invalidation-mode",
            "unchecked-hash",
            str(temporary),
        ],
        timeout=600,
        check=False,
    )
    sync_tree(temporary)
    temporary.rename(target)
    sync_directory(config.deps)
    return True


def stage_static(config: ReleaseConfig, release: Release) -> int:
    """Add the release's hashed files to those of all versions; return how many are new.

    Browsers keep them for a year, so none may appear before its content is durable, and one that a power cut has left
    empty under a good name is replaced.
    """
    archive = verify_part(config, release.parts["static"])
    temporary = config.static.with_name(".static.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    unpack(archive, temporary)
    sync_tree(temporary)
    new = 0
    for source in sorted(path for path in temporary.rglob("*") if path.is_file()):
        target = config.static / source.relative_to(temporary)
        if not target.exists() or not filecmp.cmp(source, target, shallow=False):
            target.parent.mkdir(parents=True, exist_ok=True)
            source.rename(target)
            new += 1
    shutil.rmtree(temporary)
    return new


def stage_release(config: ReleaseConfig, release: Release) -> dict[str, object]:
    """Make the immutable release directory; raises Damaged or Refused with nothing but a `.tmp` left behind."""
    target = config.releases / release.release
    if read_release(target) and (config.deps / release.deps_name(config.python_tag)).is_dir():
        return {"changed": False, "new_static": 0, "new_deps": False}
    require_space(config, missing_parts(config, release))
    for directory in (config.releases, config.deps, config.static, config.incoming):
        directory.mkdir(parents=True, exist_ok=True)
    new_deps = stage_deps(config, release)
    new_static = 0
    if not target.exists():
        if not static_is_here(config, release.parts["static"]):
            new_static = stage_static(config, release)
        archive = verify_part(config, release.parts["code"])
        temporary = target.with_name(target.name + ".tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        unpack(archive, temporary)
        shell.run(
            ["/usr/bin/python3", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", str(temporary)],
            timeout=120,
            check=False,
        )
        write_json(temporary / "RELEASE.json", release.raw, mode=0o644)
        sync_tree(temporary)
        temporary.rename(target)
        sync_directory(config.releases)
    remove_arrived(config, release)
    return {"changed": True, "new_static": new_static, "new_deps": new_deps}


def remove_arrived(config: ReleaseConfig, release: Release) -> None:
    """Remove the release's parts, and those that a deploy which never came has left for a day."""
    own = {incoming_path(config, part) for part in release.parts.values()}
    for path in config.incoming.iterdir():
        if path in own or path.stat().st_mtime < time.time() - 86_400:
            path.unlink()


def sync_tree(directory: Path) -> None:
    """Make the content of a file system durable before a rename announces it."""
    shell.run(["sync", "--file-system", str(directory)], timeout=300)


def remove_leftovers(config: ReleaseConfig) -> list[str]:
    """Remove what a crash left half done."""
    leftovers = [path for parent in (config.releases, config.deps) if parent.exists() for path in parent.glob("*.tmp")]
    leftovers += [config.static.with_name(".static.tmp")] if config.static.with_name(".static.tmp").exists() else []
    for path in leftovers:
        shutil.rmtree(path, ignore_errors=True)
    return [path.name for path in leftovers]
