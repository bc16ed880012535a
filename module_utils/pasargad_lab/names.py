"""What follows from a lab's number and a host's name alone: addresses, bridges, machine names, host files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from .errors import LabError

RELEASES = ("bookworm", "trixie")
OCTETS = {
    "store1": 11,
    "web1": 21,
    "web2": 22,
    "db1": 31,
    "outside": 50,
    "node12": 61,
    "node13": 62,
    **{f"spare{index}": 70 + index for index in range(1, 10)},
}
# The test hosts carry their release in their name; the world outside needs pebble, which bookworm alone has.
FIXED_RELEASES = {"node12": "bookworm", "node13": "trixie", "outside": "bookworm"}
OUTSIDE_NAMES = ("outside.test", *(f"{name}.outside.test" for name in ("acme", "s3", "pay", "smtp", "hooks")))
SHOP_NAME = "shop.pasargad.test"
# The first of these that a lab has answers for the shop.
EDGE_ORDER = ("store1", "web1", "node12", "node13")
BEGIN, END = "# pasargad lab: begin", "# pasargad lab: end"


@dataclass(frozen=True)
class LabNames:
    """The names and addresses of lab `number` (0 to 250); 0 is the demo."""

    number: int

    def __post_init__(self) -> None:
        if not 0 <= self.number <= 250:
            raise LabError(f"Lab number {self.number} is out of range.", hint="Use --lab 0 to 250.")

    @property
    def bridge(self) -> str:
        """Bridge and nftables table share the name."""
        return f"pplab{self.number}"

    @property
    def prefix(self) -> str:
        """First three octets."""
        return f"10.231.{self.number}"

    @property
    def network(self) -> str:
        """Network in CIDR form."""
        return f"{self.prefix}.0/24"

    @property
    def gateway(self) -> str:
        """Address of the control node."""
        return f"{self.prefix}.1"

    def address(self, host: str) -> str:
        """Address of a host."""
        return f"{self.prefix}.{OCTETS[checked_host(host)]}"

    def machine(self, host: str) -> str:
        """Name of the host's systemd-nspawn machine."""
        return f"pp{self.number}-{checked_host(host)}"

    def hosts_block(self, present: Iterable[str]) -> str:
        """The lines that every /etc/hosts of the lab holds; `present` decides who answers for the shop."""
        here = set(present)
        edge = next((host for host in EDGE_ORDER if host in here), EDGE_ORDER[0])
        lines = [BEGIN]
        for host in OCTETS:
            names = [f"{host}.pasargad.test", host]
            if host == edge:
                names.append(SHOP_NAME)
            if host == "outside":
                names.extend(OUTSIDE_NAMES)
            lines.append(f"{self.address(host)} {' '.join(names)}")
        return "\n".join([*lines, END]) + "\n"

    def network_file(self, host: str) -> str:
        """The systemd-networkd file of a host's only interface."""
        return (
            "[Match]\nName=host0\n\n"
            f"[Network]\nAddress={self.address(host)}/24\nGateway={self.gateway}\n"
            "DHCP=no\nIPv6AcceptRA=no\nLLMNR=no\nMulticastDNS=no\n"
        )

    def nft_table(self) -> str:
        """The nftables commands that give the lab's hosts the internet through the control node."""
        name = self.bridge
        return (
            f"table ip {name}\ndelete table ip {name}\n"
            f"table ip {name} {{\n"
            "  chain postrouting {\n"
            "    type nat hook postrouting priority srcnat;\n"
            f'    ip saddr {self.network} oifname != "{self.bridge}" masquerade\n'
            "  }\n}\n"
        )


def checked_host(host: str) -> str:
    """Return a host name that the lab knows, else raise LabError with all of them."""
    if host not in OCTETS:
        raise LabError(f"The lab knows no host '{host}'.", hint=f"Hosts: {', '.join(OCTETS)}.")
    return host


def checked_layer(name: str) -> str:
    """Return a layer name that is safe as a directory and in mount options."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,62}", name):
        raise LabError(f"'{name}' is no layer name.", hint="Use lower-case letters, digits, dots and dashes.")
    return name


def release_for(host: str, wanted: str | None) -> str:
    """The Debian release of a new host; a host whose name decides takes no notice of `wanted`."""
    release = FIXED_RELEASES.get(host, wanted or RELEASES[0])
    if release not in RELEASES:
        raise LabError(f"The lab has no Debian release '{release}'.", hint=f"Releases: {', '.join(RELEASES)}.")
    return release


def with_block(text: str, block: str) -> str:
    """Return `text` with the lab's marked block replaced, or appended when it has none; '' removes it."""
    pattern = re.compile(rf"^{re.escape(BEGIN)}\n.*?^{re.escape(END)}\n", re.MULTILINE | re.DOTALL)
    rest = pattern.sub("", text)
    if rest and not rest.endswith("\n"):
        rest += "\n"
    return rest + block
