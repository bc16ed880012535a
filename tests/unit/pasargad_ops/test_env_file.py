"""The host's environment files: kept under their digest, replaced by rename, masked in diffs."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from pasargad_ops.env_file import EnvFileError, EnvFileRequest, digest, parse, write_environment

FIRST = '# A comment.\n\nNAME="one"\nSECRET="s3cret-one"\n'
SECOND = 'NAME="two"\nSECRET="s3cret-two"\n'


def request(directory: Path, content: str, **overrides: str) -> EnvFileRequest:
    return EnvFileRequest(
        str(directory), content, {f"{name}.env": text for name, text in overrides.items()}, ("SECRET",)
    )


def test_the_first_run_makes_the_file_the_link_and_the_overrides(tmp_path: Path) -> None:
    directory = tmp_path / "etc/env"
    outcome = write_environment(request(directory, FIRST, migrator='A="b"\n'))
    name = f"{digest(FIRST)}.env"
    assert outcome.changed
    assert outcome.details["digest"] == digest(FIRST)
    assert (directory / "current").readlink() == Path(name)
    assert (directory / name).read_text() == FIRST
    assert sorted(path.name for path in directory.iterdir()) == sorted([name, "current", "migrator.env"])
    assert {stat.S_IMODE((directory / file).stat().st_mode) for file in (name, "migrator.env")} == {0o600}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_the_same_content_changes_nothing(tmp_path: Path) -> None:
    write_environment(request(tmp_path, FIRST))
    inodes = {path.name: path.lstat().st_ino for path in tmp_path.iterdir()}
    assert not write_environment(request(tmp_path, FIRST)).changed
    assert {path.name: path.lstat().st_ino for path in tmp_path.iterdir()} == inodes


def test_new_content_gets_a_file_of_its_own_and_the_old_one_stays(tmp_path: Path) -> None:
    write_environment(request(tmp_path, FIRST))
    outcome = write_environment(request(tmp_path, SECOND))
    assert outcome.details["names_changed"] == ["NAME", "SECRET"]
    assert (tmp_path / f"{digest(FIRST)}.env").read_text() == FIRST
    assert (tmp_path / "current").read_text() == SECOND


def test_a_return_to_old_settings_only_turns_the_link(tmp_path: Path) -> None:
    for content in (FIRST, SECOND):
        write_environment(request(tmp_path, content))
    outcome = write_environment(request(tmp_path, FIRST))
    assert outcome.changed
    assert outcome.details["files_written"] == []
    assert (tmp_path / "current").read_text() == FIRST


def test_a_rehearsal_predicts_and_writes_nothing(tmp_path: Path) -> None:
    directory = tmp_path / "env"
    predicted = write_environment(request(directory, FIRST), dry_run=True)
    assert not directory.exists()
    assert predicted == write_environment(request(directory, FIRST))


def test_secrets_show_only_whether_they_differ(tmp_path: Path) -> None:
    write_environment(request(tmp_path, FIRST))
    outcome = write_environment(request(tmp_path, SECOND))
    assert outcome.details["before"] == "NAME=one\nSECRET=******** (old)\n"
    assert outcome.details["after"] == "NAME=two\nSECRET=******** (new)\n"
    assert "s3cret" not in repr(outcome)


@pytest.mark.parametrize("harm", ["content", "mode", "link", "directory"])
def test_harm_is_mended_and_reported(tmp_path: Path, harm: str) -> None:
    write_environment(request(tmp_path, FIRST))
    file = tmp_path / f"{digest(FIRST)}.env"
    if harm == "content":
        file.write_text('NAME="tampered"\n')
    elif harm == "mode":
        file.chmod(0o644)
    elif harm == "link":
        (tmp_path / "current").unlink()
        (tmp_path / "current").symlink_to("gone.env")
    else:
        tmp_path.chmod(0o755)
    assert write_environment(request(tmp_path, FIRST)).changed
    assert (tmp_path / "current").read_text() == FIRST
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
    assert not write_environment(request(tmp_path, FIRST)).changed


def test_a_full_disk_leaves_the_old_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_environment(request(tmp_path, FIRST))
    before = sorted(path.name for path in tmp_path.iterdir())

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_environment(request(tmp_path, SECOND))
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert (tmp_path / "current").read_text() == FIRST


@pytest.mark.parametrize("line", ["NAME=bare", 'NAME="open', 'lower="x"', 'NAME="a" # b', 'NAME="a"b"'])
def test_a_line_in_another_quoting_is_refused_without_showing_it(line: str) -> None:
    with pytest.raises(EnvFileError, match="line 1") as refused:
        parse(line)
    assert line not in str(refused.value)


def test_only_a_line_feed_ends_a_line() -> None:
    value = "a\u2028b\u0085c\x0bd"
    assert parse(f'# comment\n\nNAME="{value}"\n') == {"NAME": value}


def test_a_name_that_stands_twice_is_refused() -> None:
    with pytest.raises(EnvFileError, match="NAME stands twice"):
        parse('NAME="a"\nNAME="b"\n')
