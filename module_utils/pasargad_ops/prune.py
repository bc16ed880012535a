"""Remove releases, dependencies, static files and environments that nothing on this host needs any more."""

from __future__ import annotations

import shutil
from pathlib import Path

from .artefact import read_release
from .config import SLOTS, ReleaseConfig
from .outcome import Damaged
from .stage import static_names
from .state import State


def prune(config: ReleaseConfig, state: State) -> list[str]:
    """Remove what neither a slot, nor the release to go back to, nor the newest `keep_count` releases use; return the
    names.
    """
    if not config.releases.exists():
        return []
    kept, dropped = _divide(config, state)
    removed = _remove(dropped)
    wanted = {_deps_name(config, path) for path in kept}
    deps = config.deps.iterdir() if config.deps.exists() else ()
    removed += _remove([path for path in deps if path.name not in wanted and path.suffix != ".tmp"])
    return removed + prune_static(config, kept) + prune_envs(config, state)


def _divide(config: ReleaseConfig, state: State) -> tuple[list[Path], list[Path]]:
    """Return the release directories to keep and those to drop."""
    used = {content.release for content in (*state.slots.values(), state.previous) if content}
    found = [path for path in config.releases.iterdir() if path.is_dir() and path.suffix != ".tmp"]
    found.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    kept = [path for index, path in enumerate(found) if index < config.keep_count or path.name in used]
    return kept, [path for path in found if path not in kept]


def _deps_name(config: ReleaseConfig, path: Path) -> str:
    try:
        release = read_release(path)
        return release.deps_name(config.python_tag) if release else ""
    except (Damaged, KeyError, ValueError):
        return ""


def _remove(paths: list[Path]) -> list[str]:
    """Remove directories; each is renamed first, so that a crash leaves no half release under a release's name."""
    for path in paths:
        doomed = path.with_name(path.name + ".tmp")
        path.rename(doomed)
        shutil.rmtree(doomed)
    return [path.name for path in paths]


def prune_static(config: ReleaseConfig, kept: list[Path]) -> list[str]:
    """Remove hashed files that no kept release's manifest names; a kept release without a manifest keeps everything."""
    named: set[str] = set()
    for path in kept:
        try:
            named |= static_names(path)
        except (OSError, ValueError, KeyError):
            return []
    removed = []
    for path in config.static.rglob("*"):
        name = str(path.relative_to(config.static))
        if path.is_file() and name.removesuffix(".gz").removesuffix(".br") not in named:
            path.unlink()
            removed.append(name)
    return removed


def prune_envs(config: ReleaseConfig, state: State) -> list[str]:
    """Remove environments that neither a slot nor `current` nor the release to go back to names."""
    kept = {f"{content.env}.env" for content in (*state.slots.values(), state.previous) if content}
    links = [config.env_dir / "current", *(config.slot_env(slot) for slot in SLOTS)]
    kept |= {str(link.readlink()) for link in links if link.is_symlink()}
    removed = [path for path in config.env_dir.glob("?" * 12 + ".env") if path.name not in kept]
    for path in removed:
        path.unlink()
    return [path.name for path in removed]
