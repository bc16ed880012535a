"""What the tool of the certificate foretells is what it then does, and foretelling touches nothing."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

TOOL = Path(__file__).parents[3] / "roles/tls/files/pasargad_tls.py"


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("pasargad_tls", TOOL)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "pasargad_tls", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "reload_edge", lambda: None)
    return module


def settings(tool: ModuleType, home: Path, mode: str, **more: Any) -> Any:
    written = {
        "mode": mode,
        "names": ["shop.test"],
        "live": str(home / "live"),
        "directory_url": "",
        "email": "",
        "ca_path": "",
        "webroot": str(home),
        "renew_before_days": 30,
        "selfsigned_days": 90,
        **more,
    }
    return tool.Settings.read(json.dumps(written))


def foretold(tool: ModuleType, wanted: Any, verb: str = "ensure") -> bool:
    before = sorted(map(str, wanted.home.rglob("*")))
    answer = tool.foretell(wanted, verb)
    assert sorted(map(str, wanted.home.rglob("*"))) == before
    return bool(answer["changed"])


def test_a_missing_certificate_is_foretold_made_and_then_left_alone(tool: ModuleType, tmp_path: Path) -> None:
    wanted = settings(tool, tmp_path, "selfsigned")
    assert foretold(tool, wanted)
    assert tool.ensure(wanted, force=False)["changed"]
    assert not foretold(tool, wanted)
    assert not tool.ensure(wanted, force=False)["changed"]


def test_a_new_name_and_a_first_certificate_of_an_authority_are_foretold(tool: ModuleType, tmp_path: Path) -> None:
    tool.ensure(settings(tool, tmp_path, "selfsigned"), force=False)
    assert foretold(tool, settings(tool, tmp_path, "selfsigned", names=["shop.test", "other.test"]))
    by_authority = settings(tool, tmp_path, "acme")
    assert not foretold(tool, by_authority, "bootstrap")
    assert foretold(tool, by_authority)


def test_provided_files_are_compared_with_what_is_live(tool: ModuleType, tmp_path: Path) -> None:
    made, wanted = settings(tool, tmp_path / "made", "selfsigned"), settings(tool, tmp_path / "host", "provided")
    for directory in (made.home, wanted.home / "provided"):
        directory.mkdir(parents=True)
    tool.ensure(made, force=False)
    assert foretold(tool, wanted)
    for name in ("fullchain.pem", "privkey.pem"):
        (wanted.home / "provided" / name).write_bytes((made.live / name).read_bytes())
    assert foretold(tool, wanted)
    assert tool.ensure(wanted, force=False)["changed"]
    assert not foretold(tool, wanted)


def test_provided_files_are_judged_where_they_lie_and_nothing_else_is_read(tool: ModuleType, tmp_path: Path) -> None:
    tool.ensure(settings(tool, tmp_path, "selfsigned"), force=False)
    pair = (tmp_path / "live/fullchain.pem", tmp_path / "live/privkey.pem")
    on_a_bare_host = settings(tool, tmp_path / "nowhere", "provided")
    assert tool.check(on_a_bare_host, pair)["names"] == ["shop.test"]
    for_other_names = settings(tool, tmp_path / "nowhere", "provided", names=["other.test"])
    with pytest.raises(tool.TlsError, match=r"you provided does not cover other\.test"):
        tool.check(for_other_names, pair)
    with pytest.raises(tool.TlsError, match="does not exist"):
        tool.check(on_a_bare_host, (tmp_path / "none.pem", pair[1]))
