"""Hashed files are served for a year, so what lies under such a name is whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pasargad_ops import stage
from pasargad_ops.artefact import parse_release
from pasargad_ops.outcome import Damaged
from tests.unit.pasargad_ops.fake_host import Artefact, Host

Build = Callable[..., Artefact]


def test_nothing_is_announced_before_it_is_durable(host: Host, release: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    one, announced = release("one"), list[list[Path]]()
    host.send(one)
    sync = stage.sync_tree

    def look(directory: Path) -> None:
        if directory.name == ".static.tmp":
            announced.append(list(host.config.static.rglob("*")))
            assert list(directory.rglob("*.css")), "it is the new files that are synced"
        sync(directory)

    monkeypatch.setattr(stage, "sync_tree", look)
    stage.stage_release(host.config, parse_release(one.manifest))
    assert announced == [[]]


@pytest.mark.parametrize("content", [b"", b"\0" * 9])
def test_a_file_that_a_power_cut_has_emptied_is_replaced(host: Host, release: Build, content: bytes) -> None:
    one, two = release("one"), release("one-b")
    host.deploy(one)
    host.send(two)
    stage.stage_release(host.config, parse_release(two.manifest))
    broken = next(path for path in host.config.static.glob("*.css") if path.read_text() == "/* one-b */")
    good = broken.read_bytes()
    broken.write_bytes(content)
    (host.config.releases / two.release).rename(host.root / "lost")
    host.send(two)
    assert stage.stage_release(host.config, parse_release(two.manifest))["new_static"] == 1
    assert broken.read_bytes() == good


def test_files_that_the_host_has_are_not_sent_again(host: Host, release: Build) -> None:
    host.deploy(release("one"))
    recoded = release("one-recoded", static_of="one")
    assert host.send(recoded) == ["code"]
    assert stage.stage_release(host.config, parse_release(recoded.manifest))["new_static"] == 0
    assert host.send(release("one-b")) == ["code", "static"]


@pytest.mark.parametrize("lose", [Path.unlink, lambda path: path.write_bytes(b"")], ids=["gone", "emptied"])
def test_they_are_sent_when_one_of_them_is_lost(host: Host, release: Build, lose: Callable[[Path], None]) -> None:
    host.deploy(release("one"))
    recoded = release("one-recoded", static_of="one")
    lose(next(host.config.static.glob("*.css")))
    assert host.send(recoded) == ["code", "static"]
    assert stage.stage_release(host.config, parse_release(recoded.manifest))["new_static"] == 1


def test_a_damaged_neighbour_proves_nothing(host: Host, release: Build) -> None:
    one = release("one")
    host.deploy(one)
    (host.config.releases / one.release / "RELEASE.json").write_text('{"release": "other"}')
    assert host.send(release("one-recoded", static_of="one")) == ["code", "static"]


def test_a_release_whose_neighbour_goes_away_meanwhile_is_refused(host: Host, release: Build) -> None:
    """Pruned between looking and staging: what was not sent is missed, and the next deploy sends it."""
    one = release("one")
    host.deploy(one)
    recoded = release("one-recoded", static_of="one")
    assert host.send(recoded) == ["code"]
    (host.config.releases / one.release).rename(host.root / "pruned")
    with pytest.raises(Damaged, match="did not arrive"):
        stage.stage_release(host.config, parse_release(recoded.manifest))
    assert host.send(recoded) == ["static"]
    assert stage.stage_release(host.config, parse_release(recoded.manifest))["changed"]
