"""Releases that must not reach shoppers: crashing, never ready, damaged on the way, too big for the disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.bad_input.refusal import appended, changed_copy, good_change, held_at, only_message, serving, unharmed
from tests.shop import Shop
from tests.web import Web

pytestmark = [pytest.mark.lab, pytest.mark.slow]
SRV = "/srv/pasargad"
FLIP = r"""
python3 - "$(ls -t /srv/pasargad/incoming/*-code.tar.zst | head -1)" <<'END'
import sys
with open(sys.argv[1], "r+b") as part:
    part.seek(1000)
    byte = part.read(1)
    part.seek(1000)
    part.write(bytes([byte[0] ^ 1]))
print(sys.argv[1])
END
"""


def test_a_release_that_crashes_at_start(shop: Shop, web: Web, release: str, tmp_path: Path) -> None:
    raises = appended("app/config/wsgi.py", 'raise RuntimeError("this release is broken on purpose")')
    refused = changed_copy(shop, tmp_path, raises).deploy()
    only_message(
        refused,
        "crashes at start",
        "RuntimeError: this release is broken on purpose",
        "mend the release, then run deploy.yml",
        f"shoppers are on {release}",
    )
    unharmed(shop, web, release)
    shop.deploy().require()


def test_a_release_whose_readiness_never_comes(shop: Shop, web: Web, release: str, tmp_path: Path) -> None:
    never = appended("app/pasargad/health/checks.py", 'READY["staticfiles"] = lambda: Check(False, "not on this day")')
    refused = changed_copy(shop, tmp_path, never).deploy()
    only_message(
        refused,
        "did not become ready",
        "staticfiles: not on this day",
        "app_service_ready_timeout_seconds",
        f"shoppers are on {release}",
    )
    unharmed(shop, web, release)


def test_a_part_that_is_damaged_on_the_way(shop: Shop, web: Web, release: str, tmp_path: Path) -> None:
    newer = changed_copy(shop, tmp_path, good_change())
    with held_at(newer, "stage:begin") as deploy:
        part = shop.on("store1", FLIP).require().output.strip()
        shop.on("store1", f"cp {part} /root/damaged").require()
    only_message(deploy.end(), "code.tar.zst was damaged on the way", "run deploy.yml again")
    unharmed(shop, web, release)
    # A damaged one of the right size and name lies where the next deploy looks first: it is sent again.
    shop.on("store1", f"mv /root/damaged {part}").require()
    newer.deploy().require()
    newest = serving(shop)
    assert newest != release
    unharmed(shop, web, newest)


@pytest.fixture
def small_disk(shop: Shop) -> Iterator[None]:
    """Put what the shop has below /srv/pasargad on a disk with a little room; the true one comes back afterwards."""
    shop.on(
        "store1",
        f"mkdir -p /mnt/small && size=$(du -sm {SRV} | cut -f1)"
        " && mount -t tmpfs -o size=$((size + 700))M small /mnt/small"
        f" && cp -a {SRV}/. /mnt/small/ && mount --bind /mnt/small {SRV}",
    ).require()
    try:
        yield
    finally:
        shop.on("store1", f"umount -l {SRV} && umount -l /mnt/small").require()


@pytest.mark.usefixtures("small_disk")
def test_a_disk_that_is_full(shop: Shop, web: Web, release: str, tmp_path: Path) -> None:
    newer = changed_copy(shop, tmp_path, good_change())
    with held_at(newer, "stage:begin") as deploy:
        shop.on("store1", f"fallocate -l $(($(stat -fc '%a*%S' {SRV}) - 300000)) {SRV}/filler").require()
    only_message(deploy.end(), "MiB free, this release needs", "free space on /srv/pasargad (du ")
    unharmed(shop, web, release)
    only_message(newer.deploy(), "disk: /srv/pasargad has", "free space: du -xh -d2 /srv/pasargad")
    unharmed(shop, web, release)
    shop.on("store1", f"rm {SRV}/filler").require()
    # Back to what the true disk holds, too: the small one goes away with all that was written to it.
    shop.deploy().require()
    unharmed(shop, web, serving(shop))
