"""Names and addresses follow from the lab's number alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasargad_lab.errors import LabError
from pasargad_lab.names import OCTETS, LabNames, checked_layer, release_for, with_block


def test_addresses_and_names() -> None:
    names = LabNames(57)
    assert names.address("store1") == "10.231.57.11"
    assert names.machine("outside") == "pp57-outside"
    assert names.bridge == "pplab57"
    assert "Address=10.231.57.62/24" in names.network_file("node13")
    assert "Gateway=10.231.57.1" in names.network_file("node13")


def test_octets_are_unique_and_leave_room_for_the_control_node() -> None:
    assert len(set(OCTETS.values())) == len(OCTETS)
    assert all(1 < octet < 255 for octet in OCTETS.values())


@pytest.mark.parametrize("number", [-1, 251])
def test_number_out_of_range(number: int) -> None:
    with pytest.raises(LabError, match="--lab 0 to 250"):
        LabNames(number)


def test_unknown_host_names_the_known_ones() -> None:
    with pytest.raises(LabError, match=r"no host 'store9'.*store1"):
        LabNames(1).address("store9")


@pytest.mark.parametrize(
    ("present", "edge"),
    [(["store1", "outside"], 11), (["web1", "web2", "db1"], 21), (["node12"], 61), ([], 11), (["web1", "store1"], 11)],
)
def test_who_answers_for_the_shop(present: list[str], edge: int) -> None:
    (line,) = [row for row in LabNames(3).hosts_block(present).splitlines() if "shop.pasargad.test" in row]
    assert line.split()[0] == f"10.231.3.{edge}"


def test_outside_has_all_its_names() -> None:
    (line,) = [row for row in LabNames(3).hosts_block([]).splitlines() if "acme.outside.test" in row]
    assert line.split()[0] == "10.231.3.50"
    assert {"s3.outside.test", "pay.outside.test", "smtp.outside.test", "hooks.outside.test"} <= set(line.split())


@pytest.mark.parametrize(
    ("host", "wanted", "release"),
    [
        ("store1", None, "bookworm"),
        ("store1", "trixie", "trixie"),
        ("node13", None, "trixie"),
        ("node12", "trixie", "bookworm"),
    ],
)
def test_release(host: str, wanted: str | None, release: str) -> None:
    assert release_for(host, wanted) == release


def test_unknown_release_names_the_known_ones() -> None:
    with pytest.raises(LabError, match="bookworm, trixie"):
        release_for("store1", "sid")


@pytest.mark.parametrize("name", ["", "../x", "A", "a b", "-a", "a:b", "a,b"])
def test_layer_names_are_safe_in_paths_and_mount_options(name: str) -> None:
    with pytest.raises(LabError):
        checked_layer(name)


lines = st.lists(
    st.text(st.characters(codec="ascii", exclude_characters="\n\r\x0b\x0c\x1c\x1d\x1e#"), max_size=20), max_size=5
)


@given(lines)
def test_block_is_replaced_and_the_rest_is_kept(rest: list[str]) -> None:
    text = "".join(f"{line}\n" for line in rest)
    names = LabNames(5)
    once = with_block(text, names.hosts_block(["store1"]))
    twice = with_block(once, names.hosts_block(["web1"]))
    assert twice == text + names.hosts_block(["web1"])
    assert with_block(twice, "") == text


def test_block_follows_a_text_without_final_newline() -> None:
    block = LabNames(5).hosts_block([])
    assert with_block("127.0.0.1 localhost", block) == f"127.0.0.1 localhost\n{block}"
