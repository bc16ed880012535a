"""The lab's bridge, its way out through the control node, and SSH connections that outlive a host."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
from pathlib import Path

from .errors import LabError
from .names import LabNames
from .shell import run

RESOLVERS = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))


def ensure_network(names: LabNames) -> bool:
    """Bring up bridge, address, forwarding and masquerade; True when anything was missing."""
    changed = False
    links = run(["ip", "-json", "link", "show", "type", "bridge"]).stdout or "[]"
    if names.bridge not in {link.get("ifname") for link in json.loads(links)}:
        run(["ip", "link", "add", names.bridge, "type", "bridge", "forward_delay", "0"])
        changed = True
    run(["ip", "address", "replace", f"{names.gateway}/24", "dev", names.bridge])
    run(["ip", "link", "set", names.bridge, "up"])
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1\n")
    if run(["nft", "list", "table", "ip", names.bridge], check=False).returncode != 0:
        run(["nft", "-f", "-"], stdin=names.nft_table())
        changed = True
    return changed


def remove_network(names: LabNames) -> None:
    """Remove bridge and nftables table; forwarding stays on because others may rely on it."""
    if (Path("/sys/class/net") / names.bridge).exists():
        run(["ip", "link", "delete", names.bridge])
    if run(["nft", "list", "table", "ip", names.bridge], check=False).returncode == 0:
        run(["nft", "delete", "table", "ip", names.bridge])


def resolver_text() -> str:
    """Return a resolv.conf that works from another address than this machine's loopback."""
    for path in RESOLVERS:
        if not path.is_file():
            continue
        servers = re.findall(r"^nameserver\s+(\S+)", path.read_text(), re.MULTILINE)
        outside = [server for server in servers if not server.startswith("127.") and server != "::1"]
        if outside:
            return "".join(f"nameserver {server}\n" for server in outside)
    raise LabError(
        "No nameserver that lab hosts can reach: every nameserver in /etc/resolv.conf is a loopback address.",
        hint="Name the network's own nameserver in /etc/resolv.conf.",
    )


def close_shared_connections(address: str) -> None:
    """End this machine's multiplexed SSH connections to a host that is going away.

    Ansible keeps them for minutes; the next play would talk into a dead connection and wait for its time-out.
    """
    listing = run(["ss", "-Htnp", "dst", address, "dport", "=", "22"], check=False).stdout
    for pid in {int(found) for found in re.findall(r'\("ssh",pid=(\d+)', listing)}:
        with contextlib.suppress(OSError):
            if "[mux]" in Path(f"/proc/{pid}/cmdline").read_text():
                os.kill(pid, signal.SIGKILL)
