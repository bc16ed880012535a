"""Finds what a release is made of, and its digest."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .errors import BuildError
from .tools import digest_of, file_digest, run

LOCK = "requirements/app.txt"
WANTED = "requirements/app.in"
GIT_HINT = "run it in a clone of the repository, with git installed (apt-get install git)"

# Tests ride in the repository, not on servers.
_NOT_SHIPPED = re.compile(r"(^|/)(tests|__pycache__)/|(^|/)(conftest|test_[^/]*)\.py$|\.pyc$|(^|/)staticfiles/|^media/")
_REQUIREMENT = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


@dataclass(frozen=True)
class Inputs:
    """The files of the shop below app/ with their digests, and the digest of its locked requirements."""

    repo: Path
    files: dict[str, str]
    lock_digest: str
    builder_digest: str

    @property
    def digest(self) -> str:
        """Everything that decides the bytes of the artefact, in one digest."""
        return digest_of([self.files, self.lock_digest, self.builder_digest])


def read_inputs(repo: Path, builder_digest: str) -> Inputs:
    """Return the inputs of the release that this work tree makes; raises BuildError where they make none."""
    if not (repo / "app" / "manage.py").is_file():
        raise BuildError(f"{repo}/app/manage.py is missing: there is no shop to release", hint=GIT_HINT)
    listing = run(
        ["git", "ls-files", "-z", "-co", "--exclude-standard", "--", "app"], cwd=repo, what="list files", hint=GIT_HINT
    )
    names = sorted({name.removeprefix("app/") for name in listing.split("\0") if name})
    files = {}
    for name in names:
        path = repo / "app" / name
        # A file may be deleted in the work tree and still be in git's index.
        if not _NOT_SHIPPED.search(name) and path.is_file():
            files[name] = file_digest(path) + ("x" if path.stat().st_mode & 0o100 else "")
    return Inputs(repo, files, _lock_digest(repo), builder_digest)


def _lock_digest(repo: Path) -> str:
    lock, wanted = repo / LOCK, repo / WANTED
    if not lock.is_file():
        raise BuildError(f"{LOCK} is missing: the versions to ship are not decided", hint="make lock")
    locked = {_normal(name) for name in _names(lock.read_text(encoding="utf-8"))}
    missing = [name for name in _names(wanted.read_text(encoding="utf-8")) if _normal(name) not in locked]
    if missing:
        raise BuildError(f"{WANTED} asks for {', '.join(missing)}, which {LOCK} does not lock", hint="make lock")
    return file_digest(lock)


def _names(text: str) -> list[str]:
    return [match[1] for line in text.splitlines() if line[:1].isalnum() and (match := _REQUIREMENT.match(line))]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True)
class Origin:
    """Where a release comes from, for people: it does not decide the release's id."""

    version: str
    commit: str


def read_origin(repo: Path) -> Origin:
    """Return the version and the last commit that touched what is shipped, marked if files differ from it."""
    paths = ["--", "app", LOCK, WANTED]
    hint = "commit the repository at least once: git commit"
    commit = run(["git", "log", "-1", "--format=%h", *paths], cwd=repo, what="read the commit", hint=hint).strip()
    if not commit:
        raise BuildError("app/ was never committed: a release must name its commit", hint="git add app && git commit")
    changed = run(["git", "status", "--porcelain", *paths], cwd=repo, what="read the work tree", hint=hint).strip()
    tags = run(["git", "tag", "--list", "--merged", "HEAD", "v*"], cwd=repo, what="read the tags", hint=hint).split()
    if tags:
        version = run(["git", "describe", "--tags", "--match", "v*"], cwd=repo, what="name the version", hint=hint)
        version = version.strip().removeprefix("v")
    else:
        number = run(["git", "rev-list", "--count", "HEAD"], cwd=repo, what="count the commits", hint=hint).strip()
        version = f"0.0.0+{number}.g{commit}"
    return Origin(version, commit + ("-dirty" if changed else ""))
