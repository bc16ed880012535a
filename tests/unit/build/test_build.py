"""A release is named after its content: built once, found again, refused when it cannot be right."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tarfile
from io import BytesIO
from pathlib import Path

import pytest
import zstandard

from pasargad_build.build import Artifact, BuildRequest, build, damage, release_id
from pasargad_build.errors import BuildError
from pasargad_ops.artefact import parse_release
from tests.unit.build.conftest import git


def names(artifact: Artifact, part: str) -> dict[str, bytes]:
    """Return the files of a part with their contents."""
    packed = (artifact.path / f"{part}.tar.zst").read_bytes()
    content = zstandard.ZstdDecompressor().decompressobj().decompress(packed)
    with tarfile.open(fileobj=BytesIO(content)) as archive:
        members = [(member, archive.extractfile(member)) for member in archive]
        assert all(member.mtime == 0 and member.uid == 0 and not member.uname for member, _ in members)
        return {member.name: file.read() for member, file in members if file}


def test_what_a_release_holds(request_for: BuildRequest) -> None:
    artifact = build(request_for)
    code, static, deps = (names(artifact, part) for part in ("code", "static", "deps-cp311"))
    assert "app/manage.py" in code
    assert not [name for name in code if "tests" in name or name.endswith(".pyc")]
    manifest = json.loads(code["app/staticfiles/staticfiles.json"])["paths"]
    assert set(manifest) == {"dot.svg", "shop.css"}
    css = manifest["shop.css"]
    assert {css, css + ".gz", css + ".br", manifest["dot.svg"]} == set(static)
    assert manifest["dot.svg"].encode() in static[css]
    assert "six.py" in deps
    assert not [name for name in deps if name.startswith("bin/")]
    assert str(request_for.repo).encode() not in b"".join(deps.values())
    good = {"app": "goods", "name": "0001_initial", "phase": "expand", "why": []}
    assert good in artifact.manifest["migrations"]
    assert artifact.manifest["schema_fingerprint"]["heads"]["goods"] == "0001_initial"


def test_the_host_reads_what_the_build_wrote(request_for: BuildRequest) -> None:
    artifact = build(request_for)
    assert parse_release(json.loads((artifact.path / "RELEASE.json").read_text())).release == artifact.release


def test_the_same_input_is_found_again_in_a_moment(request_for: BuildRequest) -> None:
    first = build(request_for)
    second = build(request_for)
    assert (second.release, second.built) == (first.release, False)
    assert second.seconds < 1


def test_the_same_input_gives_the_same_bytes_elsewhere_and_later(request_for: BuildRequest) -> None:
    first = build(request_for)
    shutil.rmtree(request_for.build_dir)
    for path in (request_for.repo / "app").rglob("*"):
        path.touch()
    git(request_for.repo, "commit", "-qm", "shop: Change nothing.", "--allow-empty")
    second = build(request_for)
    assert second.built
    assert second.release == first.release
    assert second.manifest["parts"] == first.manifest["parts"]


@pytest.mark.parametrize(
    ("file", "content", "changes"),
    [
        ("app/goods/models.py", "# changed\n", {"code"}),
        ("app/goods/static/shop.css", "body { color: red }\n", {"code", "static"}),
        ("app/goods/new.py", "", {"code"}),
        ("app/goods/key.secret", "ignored by git", set()),
        ("app/goods/tests/test_more.py", "", set()),
        ("README.md", "words", set()),
    ],
)
def test_what_changes_the_release(request_for: BuildRequest, file: str, content: str, changes: set[str]) -> None:
    first = build(request_for)
    (request_for.repo / file).write_text(content)
    second = build(request_for)
    parts = {name: part["sha256"] for name, part in second.manifest["parts"].items()}
    assert {name for name, part in first.manifest["parts"].items() if parts[name] != part["sha256"]} == changes
    assert (second.release != first.release) == bool(changes)


def test_packages_are_unpacked_once_for_a_lock(request_for: BuildRequest) -> None:
    build(request_for)
    (request_for.repo / "app/goods/models.py").write_text("# changed\n")
    no_uv = request_for.repo / "uv"
    no_uv.write_text("#!/bin/sh\necho called >&2\nexit 1\n")
    no_uv.chmod(0o755)
    assert build(dataclasses.replace(request_for, uv=no_uv)).built


def test_the_commit_is_named_and_a_changed_tree_marked(request_for: BuildRequest) -> None:
    clean = build(request_for)
    assert not clean.manifest["commit"].endswith("-dirty")
    (request_for.repo / "app/goods/models.py").write_text("# changed\n")
    changed = build(request_for)
    assert changed.manifest["commit"] == clean.manifest["commit"] + "-dirty"
    git(request_for.repo, "commit", "-qam", "shop: Change.")
    committed = build(request_for)
    assert committed.release == changed.release
    assert not json.loads((committed.path / "RELEASE.json").read_text())["commit"].endswith("-dirty")


@pytest.mark.parametrize("part", ["code.tar.zst", "deps-cp311.tar.zst", "RELEASE.json"])
def test_a_damaged_artefact_is_found_and_built_again(request_for: BuildRequest, part: str) -> None:
    first = build(request_for)
    content = bytearray((first.path / part).read_bytes())
    content[len(content) // 2] ^= 1
    (first.path / part).write_bytes(bytes(content))
    assert damage(first.path, first.manifest) if part != "RELEASE.json" else True
    second = build(request_for)
    assert second.built
    assert second.release == first.release
    assert "damaged" in second.note
    assert damage(second.path, second.manifest) == ""


def test_a_killed_build_leaves_nothing_that_counts(request_for: BuildRequest) -> None:
    leftover = request_for.build_dir / "work-dead"
    leftover.mkdir(parents=True)
    build(request_for)
    assert not list(request_for.build_dir.glob("work-*"))


def test_the_id_follows_from_digests_and_schema() -> None:
    parts = {"code": {"sha256": "a"}, "static": {"sha256": "b"}}
    assert release_id(parts, {"heads": {}}) == release_id(dict(reversed(parts.items())), {"heads": {}})
    assert release_id(parts, {"heads": {}}) != release_id(parts, {"heads": {"goods": "0002"}})


def refused(request_for: BuildRequest) -> BuildError:
    """Build, and return why that did not work."""
    with pytest.raises(BuildError) as caught:
        build(request_for)
    assert not (request_for.build_dir / "artifacts").exists()
    return caught.value


def test_a_requirement_without_a_lock_is_refused(request_for: BuildRequest) -> None:
    (request_for.repo / "requirements/app.in").write_text("six\nDjango>=5\n")
    error = refused(request_for)
    assert "Django" in error.message
    assert error.hint == "make lock"


def test_a_wrong_hash_is_refused(request_for: BuildRequest) -> None:
    lock = request_for.repo / "requirements/app.txt"
    head = lock.read_text().split("\\")[0]
    lock.write_text(f"{head}\\\n    --hash=sha256:{'0' * 64}\n")
    error = refused(request_for)
    assert "make lock" in error.hint
    assert any("hash" in line.lower() for line in error.log)


def test_missing_uv_is_refused(request_for: BuildRequest) -> None:
    error = refused(dataclasses.replace(request_for, uv=Path("/nonexistent/uv")))
    assert error.hint == "make setup"


def test_a_missing_static_file_is_refused(request_for: BuildRequest) -> None:
    (request_for.repo / "app/goods/static/dot.svg").unlink()
    error = refused(request_for)
    assert "static files" in error.message
    assert any("dot.svg" in line for line in error.log)


def test_broken_settings_are_refused(request_for: BuildRequest) -> None:
    (request_for.repo / "app/config/settings/build.py").write_text("import nothing_of_this_name\n")
    error = refused(request_for)
    assert any("nothing_of_this_name" in line for line in error.log)
    assert "manage.py" in error.hint


def test_an_unknown_python_is_refused(request_for: BuildRequest) -> None:
    error = refused(dataclasses.replace(request_for, tags=("cp27",)))
    assert "cp27" in error.message
    assert "cp311" in error.message


def test_a_directory_without_git_is_refused(request_for: BuildRequest, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / ".git")
    assert "git" in refused(request_for).hint
