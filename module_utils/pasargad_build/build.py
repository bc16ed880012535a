"""Builds a release artefact, or finds that it is there already."""

from __future__ import annotations

import fcntl
import inspect
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import archive, deps, migrations, static
from .archive import Member, is_executable, pack
from .deps import PYTHONS, build_deps
from .errors import BuildError
from .inputs import Inputs, Origin, read_inputs, read_origin
from .static import MANIFEST, collect
from .tools import digest_of, file_digest, read_json, run, write_json

ID_LENGTH = 12


@dataclass(frozen=True)
class BuildRequest:
    """What to build: the repository, and the Pythons of the hosts (cp311, cp313)."""

    repo: Path
    python: Path
    uv: Path
    tags: tuple[str, ...] = tuple(PYTHONS)

    @property
    def build_dir(self) -> Path:
        """Everything that the build keeps; removing it costs time and nothing else."""
        return self.repo / ".build"


@dataclass(frozen=True)
class Artifact:
    """A built release: its id, its directory and its RELEASE.json."""

    release: str
    path: Path
    manifest: dict[str, Any]
    built: bool
    seconds: float
    note: str = ""


def build(request: BuildRequest) -> Artifact:
    """Return the artefact of the work tree; builds only what is not there or is damaged."""
    started = time.monotonic()
    _check(request)
    with _alone(request.build_dir):
        inputs, origin = read_inputs(request.repo, _builder_digest()), read_origin(request.repo)
        known = request.build_dir / "inputs" / f"{digest_of([inputs.digest, sorted(request.tags)])[:16]}.json"
        note = ""
        if release := (read_json(known) or {}).get("release"):
            path = request.build_dir / "artifacts" / release
            found, note = _find(path)
            if found is not None:
                _tell_origin(path, found, origin)
                return Artifact(release, path, found, False, time.monotonic() - started)
        path = _make(request, inputs, origin)
        write_json(known, {"release": path.name})
        manifest = read_json(path / "RELEASE.json")
        return Artifact(path.name, path, manifest, True, time.monotonic() - started, note)


def release_id(parts: dict[str, dict[str, Any]], schema_fingerprint: dict[str, Any]) -> str:
    """Return the name that follows from a release's content."""
    digests = {name: part["sha256"] for name, part in parts.items()}
    return digest_of({"parts": digests, "schema_fingerprint": schema_fingerprint})[:ID_LENGTH]


def damage(path: Path, manifest: Any) -> str:
    """Return what is wrong with an artefact; an empty text: nothing."""
    if not isinstance(manifest, dict) or "parts" not in manifest or "schema_fingerprint" not in manifest:
        return "RELEASE.json is missing or unreadable"
    if release_id(manifest["parts"], manifest["schema_fingerprint"]) != path.name:
        return "RELEASE.json does not add up to its id"
    for part in manifest["parts"].values():
        file = path / part["file"]
        if not file.is_file() or file_digest(file) != part["sha256"]:
            return f"{part['file']} is missing or damaged"
    return ""


def _check(request: BuildRequest) -> None:
    unknown = [tag for tag in request.tags if tag not in PYTHONS]
    if unknown or not request.tags:
        raise BuildError(
            f"no release can be built for Python {', '.join(unknown) or '(none)'}; known: {', '.join(PYTHONS)}",
            hint="set app_build_python_tags to the tags of your hosts' Debian releases",
        )
    for name, path in (("uv", request.uv), ("Python of the virtual environment", request.python)):
        if not path.is_file():
            raise BuildError(f"{name} is missing: {path}", hint="make setup")


@contextmanager
def _alone(build_dir: Path) -> Iterator[None]:
    """Let one build at a time work in the directory; the kernel frees the lock of a killed one."""
    build_dir.mkdir(parents=True, exist_ok=True)
    with (build_dir / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in build_dir.glob("work-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        yield


def _find(path: Path) -> tuple[dict[str, Any] | None, str]:
    manifest = read_json(path / "RELEASE.json")
    wrong = damage(path, manifest)
    return (None, f"{path.name} was damaged ({wrong}), built again") if wrong else (manifest, "")


def _tell_origin(path: Path, manifest: dict[str, Any], origin: Origin) -> None:
    """Name the commit that the tree is at now; the content, and so the id, is the same."""
    if (manifest["version"], manifest["commit"]) != (origin.version, origin.commit):
        manifest.update(version=origin.version, commit=origin.commit)
        write_json(path / "RELEASE.json", manifest)


def _builder_digest() -> str:
    """Return the digest of our own code; the loader gives the source, for Ansible runs it from an archive."""
    return digest_of([inspect.getsource(module) for module in (archive, deps, migrations, static)])


def _make(request: BuildRequest, inputs: Inputs, origin: Origin) -> Path:
    work = Path(tempfile.mkdtemp(prefix="work-", dir=request.build_dir))
    try:
        _copy(inputs, work / "app")
        parts_dir = work / "artifact"
        parts_dir.mkdir()
        with ThreadPoolExecutor(max_workers=2) as pool:
            packages = {
                f"deps-{tag}": pool.submit(
                    build_deps, inputs, tag, request.build_dir / "deps", request.uv, request.python
                )
                for tag in request.tags
            }
            schema = _read_schema(request, work / "app")
            manifest, files = collect(work / "app", request.python)
            pack(files, parts_dir / "static.tar.zst")
            pack([*_code(inputs), Member(f"app/staticfiles/{MANIFEST}", manifest)], parts_dir / "code.tar.zst")
            for name, future in packages.items():
                _link(future.result(), parts_dir / f"{name}.tar.zst")
        return _finish(request, parts_dir, schema, origin)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _copy(inputs: Inputs, target: Path) -> None:
    """Copy what is shipped, so that the build sees nothing else and writes nothing into the work tree."""
    for name in inputs.files:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(inputs.repo / "app" / name, target / name)


def _code(inputs: Inputs) -> list[Member]:
    root = inputs.repo / "app"
    return [Member(f"app/{name}", root / name, is_executable(root / name)) for name in inputs.files]


def _read_schema(request: BuildRequest, app: Path) -> dict[str, Any]:
    script = request.repo / "module_utils" / "pasargad_build" / "migrations.py"
    text = run(
        [request.python, script],
        cwd=app,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings.build", "PYTHONDONTWRITEBYTECODE": "1"},
        what="read the migrations",
        hint="mend what the lines above name in app/; see it again with: cd app && "
        "DJANGO_SETTINGS_MODULE=config.settings.build ../.venv/bin/python manage.py check",
    )
    return dict(json.loads(text))


def _link(source: Path, target: Path) -> None:
    """Share the bytes of a cached archive; a copy where the file system cannot."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)


def _finish(request: BuildRequest, parts_dir: Path, schema: dict[str, Any], origin: Origin) -> Path:
    parts = {}
    for path in sorted(parts_dir.glob("*.tar.zst")):
        name, sha256 = path.name.removesuffix(".tar.zst"), file_digest(path)
        parts[name] = {"file": path.name, "sha256": sha256, "size": path.stat().st_size}
        if name.startswith("deps-"):
            parts[name]["digest12"] = sha256[:ID_LENGTH]
    release = release_id(parts, schema["schema_fingerprint"])
    manifest = {"schema": 1, "release": release, "version": origin.version, "commit": origin.commit, "parts": parts}
    write_json(parts_dir / "RELEASE.json", {**manifest, **schema})
    target = request.build_dir / "artifacts" / release
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    parts_dir.rename(target)
    return target
