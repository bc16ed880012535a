"""The lab's errors say what to type."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pasargad_lab import base, kernel, network, shell
from pasargad_lab.__main__ import parser, without_dashes
from pasargad_lab.errors import LabError
from pasargad_lab.lab import Lab
from pasargad_lab.paths import LabPaths


def test_missing_tools_are_named_with_one_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell, "tool_path", lambda name: None if name in ("nft", "mmdebstrap") else f"/usr/bin/{name}")
    with pytest.raises(LabError, match="apt-get install mmdebstrap nftables"):
        shell.require_tools()


def test_failed_program_keeps_its_last_words() -> None:
    with pytest.raises(LabError, match=r"ended with 3: no such thing"):
        shell.run(["sh", "-c", "echo no such thing >&2; exit 3"])


def test_write_atomically_reports_changes(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    assert shell.write_atomically(path, "a", mode=0o600)
    assert not shell.write_atomically(path, "a")
    assert shell.write_atomically(path, "b", mode=0o600)
    assert path.stat().st_mode & 0o777 == 0o600


def test_resolver_skips_loopback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub, real = tmp_path / "stub", tmp_path / "real"
    stub.write_text("nameserver 127.0.0.53\n")
    real.write_text("search x\nnameserver 192.0.2.1\n")
    monkeypatch.setattr(network, "RESOLVERS", (stub, real))
    assert network.resolver_text() == "nameserver 192.0.2.1\n"
    monkeypatch.setattr(network, "RESOLVERS", (stub,))
    with pytest.raises(LabError, match=r"resolv\.conf"):
        network.resolver_text()


def test_inotify_instances_are_raised_and_never_lowered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = tmp_path / "max_user_instances"
    monkeypatch.setattr(kernel, "INOTIFY_INSTANCES", limit)
    limit.write_text("128\n")
    assert kernel.ensure_inotify_instances()
    assert int(limit.read_text()) == kernel.NEEDED_INSTANCES
    limit.write_text("1000000\n")
    assert not kernel.ensure_inotify_instances()
    assert limit.read_text() == "1000000\n"


def test_base_name_follows_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    before = base.base_name("bookworm")
    assert before != base.base_name("trixie")
    monkeypatch.setattr(base, "PACKAGES", (*base.PACKAGES, "vim"))
    assert base.base_name("bookworm") != before


def test_interrupted_base_is_removed_and_a_failed_build_leaves_no_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = LabPaths(tmp_path)
    leftover = paths.bases / "bookworm-0123456789ab.tmp"
    leftover.mkdir(parents=True)

    def fail(argv: list[str]) -> subprocess.CompletedProcess[str]:
        raise LabError("no network")

    monkeypatch.setattr(base, "run", fail)
    with pytest.raises(LabError, match="no network"):
        base.ensure_base(paths, "bookworm", lambda line: None)
    assert not leftover.exists()
    assert not (paths.bases / base.base_name("bookworm")).exists()


def test_missing_layer_names_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "layers" / "ready").mkdir(parents=True)
    (tmp_path / "layers" / "ready" / "layer.json").write_text("{}")
    with pytest.raises(LabError, match=r"no layer 'nope'.*ready"):
        Lab(1, LabPaths(tmp_path))._layer_meta("nope")


def test_absent_host_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="up --lab 1 store1"):
        Lab(1, LabPaths(tmp_path)).start(["store1"])


def test_command_after_dashes() -> None:
    options = parser().parse_args(["exec", "--lab", "3", "store1", "--", "ls", "-l"])
    assert options.lab == 3
    assert without_dashes(options.argv) == ["ls", "-l"]


def test_command_line_shows_one_clear_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pasargad_lab", "--root", str(tmp_path), "up", "--lab", "900", "store1"]
    environment = {"PYTHONPATH": "module_utils", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.strip() == "lab: Lab number 900 is out of range. Use --lab 0 to 250."
