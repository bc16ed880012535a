"""A slot that shoppers have left answers all who came before, and then stops."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pasargad_ops import boot, slots, units
from pasargad_ops.state import load_state, transaction
from tests.unit.pasargad_ops.fake_host import Artefact, Host, Standing

Stops = Callable[[Host, Artefact], object]


def test_connections_in_the_queue_of_a_socket_count(tmp_path: Path) -> None:
    path = tmp_path / "web.sock"
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(path))
        server.listen()
        assert slots.connections(path) == 0
        client.connect(str(path))
        assert slots.connections(path) == 1, "nobody has taken it yet"
        accepted, _ = server.accept()
        assert slots.connections(path) == 1
        accepted.close()
        assert slots.connections(path) == 0


def abort(host: Host, artefact: Artefact) -> None:
    host.phase("abort", artefact, "d-left")


def deadman(host: Host, artefact: Artefact) -> None:
    boot.revert_unconfirmed(host.config, "d-left", time.time() + 3600)
    boot.retire(host.config, load_state(host.config).idle, "d-left")


@pytest.mark.parametrize("stops", [abort, deadman])
def test_who_came_before_the_switch_back_gets_an_answer(standing: Standing, stops: Stops) -> None:
    host, new = standing.host, standing.newer()
    host.deploy(new, until="switch", deploy_id="d-left")
    left = load_state(host.config).active or ""
    with socket.socket(socket.AF_UNIX) as shopper:
        shopper.connect(str(host.config.slot_socket(left)))
        stopping = threading.Thread(target=stops, args=(host, new))
        stopping.start()
        time.sleep(0.01)
        shopper.sendall(b"GET / HTTP/1.0\r\n")
        deadline = time.monotonic() + 2
        while load_state(host.config).active == left and time.monotonic() < deadline:
            time.sleep(0.02)
        waited = time.monotonic() + 0.5
        while time.monotonic() < waited:
            assert left in host.running("web")
        shopper.sendall(b"\r\n")
        assert shopper.makefile("rb").readline().startswith(b"HTTP/1.0 200")
    stopping.join()
    assert host.running("web") == [load_state(host.config).active] != [left]
    host.deploy(new, living=())
    standing.settle(new)


def test_a_slot_that_never_empties_is_stopped_all_the_same(standing: Standing, monkeypatch: pytest.MonkeyPatch) -> None:
    host, new = standing.host, standing.newer()
    monkeypatch.setattr(slots, "DRAIN_SECONDS", 0.3)
    host.deploy(new, until="switch", deploy_id="d-left")
    left = load_state(host.config).active or ""
    with socket.socket(socket.AF_UNIX) as hanging:
        hanging.connect(str(host.config.slot_socket(left)))
        abort(host, new)
    assert left not in host.running("web")
    standing.settle(standing.old)


def test_the_deadman_lets_the_slot_it_leaves_stop_and_says_what_it_did(standing: Standing) -> None:
    host, new = standing.host, standing.newer()
    host.deploy(new, until="switch", deploy_id="d-left")
    left = load_state(host.config).active
    boot.revert_unconfirmed(host.config, "d-left", time.time() + 3600)
    assert load_state(host.config).retiring == "d-left" and units.is_active(f"{slots.RETIRE}.timer")
    assert 'pasargad_deploy_result{result="reverted"} 1' in (host.config.metrics_dir / "release.prom").read_text()
    host.deploy(new, until="start", living=())
    assert not units.is_active(f"{slots.RETIRE}.timer"), "the next deploy uses the slot as it stands"
    assert not boot.retire(host.config, left or "", "d-left").changed


def test_the_state_is_free_while_a_slot_stops(standing: Standing, monkeypatch: pytest.MonkeyPatch) -> None:
    host, new = standing.host, standing.newer()
    host.deploy(new, deploy_id="d-left")
    stop, seen = units.stop, list[str]()

    def stop_and_look(*names: str, timeout: float) -> None:
        assert timeout > host.config.worker_stop_seconds, "systemd gives up first"
        with transaction(host.config) as change:
            seen.append(change.state.retiring)
        stop(*names, timeout=timeout)

    monkeypatch.setattr(units, "stop", stop_and_look)
    assert boot.retire(host.config, load_state(host.config).idle, "d-left").changed
    assert seen == ["d-left"] and load_state(host.config).retiring == ""
    standing.settle(new)
