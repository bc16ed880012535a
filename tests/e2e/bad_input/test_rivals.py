"""Deploys that meet: two at once, and one that takes over from a playbook that was killed."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.e2e.bad_input.refusal import Deploy, changed_copy, good_change, held_at, only_message, serving, unharmed
from tests.shop import Shop
from tests.web import Web

pytestmark = [pytest.mark.lab, pytest.mark.slow]


def test_two_at_once_one_names_the_owner_and_one_waits(shop: Shop, web: Web, release: str, tmp_path: Path) -> None:
    newer = changed_copy(shop, tmp_path, good_change())
    newer.playbook("playbooks/build.yml").require()
    with held_at(newer, "start:begin") as first:
        only_message(newer.deploy(), "is deploying (phase start", "app_release_lock_wait_seconds", "break-lock")
        patient = Deploy(newer, "-e", "app_release_lock_wait_seconds=600")
        time.sleep(20)
        assert patient.process.poll() is None, patient.end().output
    first.end().require()
    patient.end().require()
    status = shop.status()
    newest = serving(shop)
    assert newest != release
    slots = status["slots"]
    assert isinstance(slots, dict)
    # The one that waited found its release in service and left the way back alone.
    assert {about["release"] for about in slots.values()} == {release, newest}
    unharmed(shop, web, newest)


@pytest.mark.parametrize("point", ["start:linked", "verify:begin"])
def test_a_killed_playbook_is_taken_over_at_once(
    shop: Shop, web: Web, release: str, tmp_path: Path, point: str
) -> None:
    newer = changed_copy(shop, tmp_path, good_change())
    with held_at(newer, point) as killed:
        killed.process.send_signal(signal.SIGKILL)
        killed.process.wait()
    newer.deploy().require()
    newest = serving(shop)
    assert newest != release
    unharmed(shop, web, newest)
