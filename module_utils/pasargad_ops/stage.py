"""Bring an artefact onto the host: verified by digest, unpacked beside, renamed into place."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from . import shell
from .artefact import Part, Release, digest_of, read_release
from .config import SLOTS, ReleaseConfig
from .files import sync_directory, write_json
from .outcome import Damaged, Refused
from .state import State

UNPACKED_RATIO = 6
SPARE_BYTES = 256 * 2**20


def missing_parts(config: ReleaseConfig, release: Release) -> list[Part]:
    """Return the parts that have to be sent: none for a release that is already staged."""
    if read_release(config.releases / release.release):
        return []
    parts = [release.parts["code"], release.parts["static"]]
    deps = next(part for part in release.wanted_parts(config.python_tag) if part.name.startswith("deps"))
    if not (config.deps / release.deps_name(config.python_tag)).is_dir():
        parts.append(deps)
    return [part for part in parts if not _arrived(config, part)]


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


def unpack(archive: Path, target: Path) -> None:
    """Unpack a .tar.zst into a new directory; members with absolute or upward names are refused."""
    names = shell.run(["tar", "--zstd", "-tf", str(archive)], timeout=300).stdout.splitlines()
    for name in names:
        if name.startswith("/") or ".." in Path(name).parts:
            raise Damaged(
                f"{archive.name} holds the name {name!r}", hint="build the artefact again on a machine you trust"
            )
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
    os.rename(temporary, target)
    sync_directory(config.deps)
    return True


def stage_static(config: ReleaseConfig, release: Release) -> int:
    """Add the release's hashed files to those of all versions; a file that exists is the same file. Return how many
    are new."""
    archive = verify_part(config, release.parts["static"])
    temporary = config.static.with_name(".static.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    unpack(archive, temporary)
    new = 0
    for source in sorted(path for path in temporary.rglob("*") if path.is_file()):
        target = config.static / source.relative_to(temporary)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(source, target)
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
        os.rename(temporary, target)
        sync_directory(config.releases)
    for part in release.parts.values():
        incoming_path(config, part).unlink(missing_ok=True)
    return {"changed": True, "new_static": new_static, "new_deps": new_deps}


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


def prune(config: ReleaseConfig, state: State) -> list[str]:
    """Remove releases, dependencies and environment files that no slot and none of the newest `keep_count` releases
    uses."""
    if not config.releases.exists():
        return []
    used = {content.release for content in state.slots.values()}
    by_age = sorted(
        (path for path in config.releases.iterdir() if path.is_dir() and path.suffix != ".tmp"),
        key=lambda path: path.stat().st_mtime,
        reverse=True,
    )
    kept = [path for index, path in enumerate(by_age) if index < config.keep_count or path.name in used]
    removed = []
    for path in by_age:
        if path not in kept:
            shutil.rmtree(path)
            removed.append(path.name)
    wanted = {release.deps_name(config.python_tag) for path in kept if (release := read_release(path))}
    for path in config.deps.iterdir() if config.deps.exists() else ():
        if path.name not in wanted and path.suffix != ".tmp":
            shutil.rmtree(path)
            removed.append(path.name)
    removed += prune_static(config, kept)
    envs = {content.env for content in state.slots.values()} | {os.readlink(config.env_dir / "current")[: -len(".env")]}
    linked = {os.readlink(config.slot_env(slot)) for slot in SLOTS if config.slot_env(slot).is_symlink()}
    for path in config.env_dir.glob("????????????.env"):
        if path.stem not in envs and path.name not in linked:
            path.unlink()
            removed.append(path.name)
    return removed


def prune_static(config: ReleaseConfig, kept: list[Path]) -> list[str]:
    """Remove hashed files that no kept release's manifest names; kept releases without a manifest keep everything."""
    import json

    named: set[str] = set()
    for path in kept:
        manifest = path / "app" / "staticfiles" / "staticfiles.json"
        if not manifest.exists():
            return []
        named |= set(json.loads(manifest.read_text())["paths"].values())
    removed = []
    for path in config.static.rglob("*"):
        name = str(path.relative_to(config.static))
        plain = name.removesuffix(".gz").removesuffix(".br")
        if path.is_file() and plain not in named:
            path.unlink()
            removed.append(name)
    return removed
