"""Whole deploys of a tiny release on a fake host: what shoppers get, what is written down, what a bad release does."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from typing import Any

import pytest

from pasargad_ops import boot
from pasargad_ops.__main__ import main
from pasargad_ops.lease import owner_process, read_lease
from pasargad_ops.outcome import Damaged, NotReady, OperationError, Refused, Unhealthy
from pasargad_ops.rollback import RollbackRequest, roll_back
from pasargad_ops.state import load_state
from pasargad_ops.switch import live_slot
from tests.unit.pasargad_ops import fake_systemd
from tests.unit.pasargad_ops.fake_host import SECRET, TAG, Artefact, Host, check_invariants, check_settled

Build = Callable[..., Artefact]


def test_first_deploy_then_upgrade_then_rollback_and_forth_by_a_deploy(
    host: Host, release: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Here the slots start as on a host, by the command line of the operations.
    monkeypatch.setattr(fake_systemd, "become", None)
    one, two = release("one"), release("two", migrations=["shop.0001_initial", "shop.0002_more"])
    host.deploy(one)
    check_settled(host, one)
    assert live_slot(host.config) == "blue"
    outcomes = host.deploy(two)
    check_settled(host, two)
    assert outcomes["switch"].details["switch_ms"] < 50
    assert outcomes["expand"].details["applied"] == ("shop.0002_more",)
    assert outcomes["expand"].details["restore_point"]
    assert host.running("web") == ["blue", "green"], "the old slot stays hot"
    back = roll_back(host.config, RollbackRequest(owner_process("ali", 1)))
    assert back.details["release"] == one.release and back.details["seconds"] < 5
    check_settled(host, one)
    again = roll_back(host.config, RollbackRequest(owner_process("ali", 1)))
    assert not again.changed and again.details["left"] == two.release
    assert f"already rolled back to {one.release} (left {two.release} at " in again.summary
    assert "forward again with deploy.yml" in again.summary
    check_settled(host, one)
    host.deploy(two)
    check_settled(host, two)
    assert roll_back(host.config, RollbackRequest(owner_process("ali", 1))).changed, "a deploy ends that memory"
    check_settled(host, one)


def test_only_missing_parts_are_sent(host: Host, release: Build) -> None:
    assert len(host.send(release("one"))) == 3
    host.deploy(release("one"))
    assert host.send(release("two", migrations=["shop.0001_initial", "shop.0002_more"])) == ["code", "static"]


def test_dependencies_that_are_gone_are_sent_again(host: Host, release: Build) -> None:
    one, two = release("one"), release("one-b")
    host.deploy(one)
    host.deploy(two)
    shutil.rmtree(next(host.config.deps.iterdir()))
    assert host.send(one) == [f"deps-{TAG}"]
    host.deploy(one)
    check_settled(host, one)


def test_a_code_only_deploy_asks_the_database_nothing(host: Host, release: Build) -> None:
    host.deploy(release("one"))
    runs = host.migrations_run()
    assert host.deploy(release("one-b"))["expand"].summary == "no migrations pending"
    assert host.migrations_run() == runs


def test_a_shop_can_be_closed_and_opened_by_its_environment(host: Host, release: Build) -> None:
    one = release("one")
    host.deploy(one)
    opened = (host.config.env_dir / "current").read_text()
    lines = [{"status": 503, "us": "503", "slot": "green", "ut": "0.01"}] * 30
    host.put_env(opened + 'FEATURE_MAINTENANCE="true"\n')
    host.deploy(one, until="switch", deploy_id="d-close")
    host.config.access_log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    for phase in ("verify", "finish"):
        host.phase(phase, one, "d-close")
    check_settled(host, one)
    host.put_env(opened)
    host.deploy(one)
    check_settled(host, one)


def test_a_new_environment_is_a_new_target(host: Host, release: Build) -> None:
    one = release("one")
    host.deploy(one)
    before = load_state(host.config).serving
    text = (host.config.env_dir / "current").read_text()
    host.put_env(text + 'PAGES="12"\n')
    assert not host.serving(one)
    host.deploy(one)
    after = load_state(host.config)
    assert after.serving != before and after.previous == before
    check_settled(host, one)


def test_damaged_parts_are_refused_and_named(host: Host, release: Build) -> None:
    one = release("one")
    host.send(one)
    part = next(host.config.incoming.glob("*code*"))
    part.write_bytes(part.read_bytes()[:-1] + b"x")
    with pytest.raises(Damaged, match=r"code.tar.zst was damaged"):
        host.phase("begin", one, "d1")
        host.phase("stage", one, "d1")
    assert read_lease(host.config) is None
    host.deploy(one)
    check_settled(host, one)


def test_a_manifest_that_does_not_make_its_id_is_refused(host: Host, release: Build) -> None:
    one = release("one")
    forged = Artefact(one.path, {**one.manifest, "release": "0" * 12})
    with pytest.raises(Damaged, match="its digests make"):
        host.phase("begin", forged, "d1")


@pytest.mark.parametrize(
    ("name", "about", "words"),
    [
        ("crashes", {"crash": True}, "crashes at start on green: RuntimeError"),
        ("never", {"never_ready": True}, "redis: refused"),
        ("page", {"broken_page": True}, "/products/ with 500"),
        ("gone", {"answers": {"/products/": 404}}, "/products/ with 404"),
        ("moved", {"answers": {"/": 302}}, "/ with 302"),
        ("closed", {"answers": {"/": 503}}, "/ with 503"),
        ("silent", {"pages": {"no": "list"}}, "names no pages to warm at /health/warm: 'paths'"),
    ],
)
def test_a_release_that_cannot_serve_leaves_the_old_one_alone(
    host: Host, release: Build, name: str, about: dict[str, Any], words: str
) -> None:
    host.deploy(release("one"))
    object.__setattr__(host.config, "ready_timeout_seconds", 3.0)
    with pytest.raises(NotReady, match=words) as caught:
        host.deploy(release(name, **about), deploy_id="d-bad")
    assert SECRET not in json.dumps([caught.value.message, caught.value.details, host.audit()])
    assert caught.value.hint and "shoppers are on" in caught.value.details["traffic"]
    if name == "crashes":
        assert any("RuntimeError" in line for line in caught.value.details["log"])
    assert host.running("web") == ["blue"], "the idle slot is stopped"
    assert host.audit()[-1]["result"] == "failed"
    check_settled(host, release("one"))


def test_a_first_release_that_cannot_serve_can_be_followed_by_a_good_one(host: Host, release: Build) -> None:
    with pytest.raises(NotReady):
        host.deploy(release("crashes", crash=True))
    host.deploy(release("one"))
    check_settled(host, release("one"))


def test_a_release_that_fails_in_public_is_put_back_at_once_and_marked(host: Host, release: Build) -> None:
    host.deploy(release("one"))
    two = release("two", migrations=["shop.0001_initial", "shop.0002_more"])
    host.deploy(two, until="switch", deploy_id="d2")
    lines = [{"status": 500, "us": "500", "slot": "green", "ut": "0.01"}] * 30
    host.config.access_log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    began = time.monotonic()
    with pytest.raises(Unhealthy, match="30 of 30 requests end in 5xx"):
        host.phase("verify", two, "d2")
    assert time.monotonic() - began < 10
    state = load_state(host.config)
    assert state.active == live_slot(host.config) == "blue" and two.release in state.bad
    assert host.audit()[-1]["result"] == "reverted"
    with pytest.raises(Refused, match="misbehaved"):
        host.deploy(two)
    check_settled(host, release("one"))
    host.deploy(two, force=True)
    check_settled(host, two)


def test_nobody_confirms_so_the_host_reverts_by_itself(host: Host, release: Build) -> None:
    host.deploy(release("one"))
    object.__setattr__(host.config, "deadman_seconds", 1)
    two = release("two", migrations=["shop.0001_initial", "shop.0002_more"])
    host.deploy(two, until="switch", deploy_id="d2")
    assert live_slot(host.config) == "green"
    deadline = time.monotonic() + 10
    while live_slot(host.config) != "blue" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert live_slot(host.config) == "blue"
    with pytest.raises(OperationError, match=r"put (traffic )?back"):
        host.phase("finish", two, "d2")
    assert load_state(host.config).bad == (), "a release whose controller died is not a bad release"
    object.__setattr__(host.config, "deadman_seconds", 60)
    host.deploy(two)
    check_settled(host, two)
    assert [line["result"] for line in host.audit()] == ["success", "reverted", "success"]


def test_a_reboot_before_the_confirmation_reverts(host: Host, release: Build) -> None:
    host.deploy(release("one"))
    two = release("two", migrations=["shop.0001_initial", "shop.0002_more"])
    host.deploy(two, until="switch")
    host.end()
    host.config.live_socket.unlink()
    boot.bring_back(host.config)
    state = load_state(host.config)
    assert state.active == live_slot(host.config) == "blue" and state.pending is None
    deadline = time.monotonic() + 10
    while not host.serving(release("one")) and time.monotonic() < deadline:
        # The lease of the deploy that died with the machine is still there; a new deploy takes it over.
        host.deploy(release("one"), living=())
    check_settled(host, release("one"))


def test_contract_migrations_do_not_ship_with_the_release_that_stops_using_them(
    host: Host, release: Build, capsys: pytest.CaptureFixture[str]
) -> None:
    host.deploy(release("one"))
    names = ["shop.0001_initial", "shop.0003_drop"]
    three = release("three", migrations=names, contract=("shop.0003_drop",))
    with pytest.raises(Refused, match=r"shop.0003_drop would break"):
        host.deploy(three)
    check_settled(host, release("one"))
    host.deploy(three, allow_contract=True)
    check_settled(host, three)
    with pytest.raises(Refused, match=r"cannot serve the schema since shop\.0003_drop") as caught:
        roll_back(host.config, RollbackRequest(owner_process("ali", 1)))
    command = f"pasargad-ops restore-point {next(host.config.backup_dir.glob('*.dump'))}"
    assert command in caught.value.hint
    assert main(["--config", str(host.config.file), *command.split()[1:]]) == 0
    plan = capsys.readouterr().out
    assert f"deploy version one (release {release('one').release})" in plan and f"go: {command} --yes" in plan
    check_settled(host, three)


def test_a_migration_that_fails_says_why_and_only_lock_conflicts_are_tried_again(host: Host, release: Build) -> None:
    host.deploy(release("one"))
    names = ["shop.0001_initial", "shop.0004_x"]
    with pytest.raises(OperationError, match="ValueError: no such default"):
        host.deploy(release("bad-migration", migrations=names, migrate_error="ValueError: no such default"))
    object.__setattr__(host.config, "lock_retries", 2)
    locked = "django.db.utils.OperationalError: canceling statement due to lock timeout"
    with pytest.raises(OperationError, match="another lock in each of 2 tries"):
        host.deploy(release("locked", migrations=names, migrate_error=locked))
    check_settled(host, release("one"))


def test_a_dead_worker_is_started_without_a_switch(host: Host, release: Build) -> None:
    from pasargad_ops import units

    one = release("one")
    host.deploy(one)
    units.stop(units.worker("blue"))
    assert not host.serving(one)
    outcomes = host.deploy(one)
    assert not outcomes["switch"].changed
    check_settled(host, one)


def test_a_slot_that_died_is_replaced_by_the_other(host: Host, release: Build) -> None:
    from pasargad_ops import units

    one = release("one")
    host.deploy(one)
    units.stop(units.web("blue"))
    assert host.deploy(one)["switch"].changed
    assert live_slot(host.config) == "green"
    check_settled(host, one)


def test_the_end_of_the_rollback_window_spares_a_slot_that_is_used_again(host: Host, release: Build) -> None:
    one, two = release("one"), release("two", migrations=["shop.0001_initial", "shop.0002_more"])
    host.deploy(one)
    host.deploy(two, deploy_id="d2")
    assert load_state(host.config).retiring == "d2"
    host.deploy(release("one-b"), until="start", deploy_id="d3")
    assert boot.retire(host.config, "blue", "d2").summary == "blue is in use again"
    assert host.running("web") == ["blue", "green"]
    host.phase("abort", release("one-b"), "d3")
    assert host.running("web") == ["green"]
    check_invariants(host, served_before=True)


def test_the_end_of_the_rollback_window_stops_the_old_slot_and_rollback_starts_it_again(
    host: Host, release: Build
) -> None:
    one, two = release("one"), release("two", migrations=["shop.0001_initial", "shop.0002_more"])
    host.deploy(one)
    host.deploy(two, deploy_id="d2")
    assert boot.retire(host.config, "blue", "d2").changed
    assert host.running("web") == ["green"]
    roll_back(host.config, RollbackRequest(owner_process("ali", 1)))
    check_settled(host, one)


def test_rollback_after_a_failed_deploy_goes_to_the_release_that_served(host: Host, release: Build) -> None:
    one, two = release("one"), release("two", migrations=["shop.0001_initial", "shop.0002_more"])
    host.deploy(one)
    host.deploy(two)
    with pytest.raises(NotReady):
        host.deploy(release("crashes-2", crash=True, migrations=["shop.0001_initial", "shop.0002_more"]))
    assert roll_back(host.config, RollbackRequest(owner_process("ali", 1))).details["release"] == one.release
    check_settled(host, one)


def test_what_nobody_needs_is_pruned(host: Host, release: Build) -> None:
    object.__setattr__(host.config, "keep_count", 1)
    for name in ("one", "one-b", "one-c", "one-d"):
        host.deploy(release(name))
    kept = {path.name for path in host.config.releases.iterdir()}
    assert kept == {release("one-c").release, release("one-d").release}
    assert len([path for path in host.config.static.iterdir() if path.suffix == ".css"]) == 2
    check_settled(host, release("one-d"))
