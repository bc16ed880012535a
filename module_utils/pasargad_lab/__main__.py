"""The lab's command line: python3 -m pasargad_lab COMMAND."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from .base import ensure_base
from .errors import LabError
from .lab import Lab, all_labs, say_to_stderr
from .names import OCTETS, RELEASES
from .paths import DEFAULT_ROOT, LabPaths


def parser() -> argparse.ArgumentParser:
    """Build the command line."""
    root = argparse.ArgumentParser(prog="pasargad_lab", description="Real Debian hosts on this machine.")
    root.add_argument("--root", type=Path, default=DEFAULT_ROOT, help="where the lab keeps its trees")
    commands = root.add_subparsers(dest="command", required=True)

    def command(name: str, text: str, *, hosts: str | None = None) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.add_argument("--lab", type=int, default=0, help="lab number, 0 to 250 (default 0: the demo)")
        if hosts:
            made.add_argument("hosts", nargs=hosts, metavar="HOST", help=f"one of {', '.join(OCTETS)}")
        return made

    up = command("up", "make and start hosts", hosts="+")
    up.add_argument("--release", choices=RELEASES)
    up.add_argument("--layer", help="a layer that `snapshot` saved")
    command("start", "start hosts that exist", hosts="+")
    command("stop", "shut hosts down in order", hosts="+")
    command("restart", "shut hosts down in order and start them again", hosts="+")
    command("kill", "cut the power of hosts; the disks stay", hosts="+")
    command("down", "remove hosts with their disks (default: the whole lab)", hosts="*")
    for name, text in (
        ("exec", "run a command on a host, without SSH"),
        ("ssh", "open a shell on a host, or run a command, by SSH"),
    ):
        inside = command(name, text)
        inside.add_argument("host")
        inside.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    snapshot = command("snapshot", "save a host's disk as a layer for new hosts")
    snapshot.add_argument("host")
    snapshot.add_argument("layer")
    snapshot.add_argument("--replace", action="store_true")
    status = commands.add_parser("status", help="show the hosts of all labs")
    status.add_argument("--json", action="store_true")
    base = commands.add_parser("base", help="build the base tree of a release")
    base.add_argument("--release", choices=RELEASES, default=RELEASES[0])
    return root


def run_command(options: argparse.Namespace) -> int:
    """Do what the command line says; returns the exit code."""
    paths = LabPaths(options.root)
    if options.command == "status":
        return show_status(paths, as_json=options.json)
    if options.command == "base":
        print(ensure_base(paths, options.release, say_to_stderr)[0])
        return 0
    lab = Lab(options.lab, paths)
    if options.command == "up":
        lab.up(options.hosts, release=options.release, layer=options.layer)
    elif options.command == "snapshot":
        lab.snapshot(options.host, options.layer, replace=options.replace)
    elif options.command == "exec":
        return lab.host(options.host).execute(without_dashes(options.argv)).returncode
    elif options.command == "ssh":
        argv = ssh_argv(lab, options.host, without_dashes(options.argv))
        os.execvp(argv[0], argv)
    else:
        getattr(lab, options.command)(options.hosts)
    return 0


def without_dashes(argv: list[str]) -> list[str]:
    """The command after `--`."""
    return argv[1:] if argv[:1] == ["--"] else argv


def ssh_argv(lab: Lab, host: str, command: list[str]) -> list[str]:
    """The SSH command line to a host, with the lab's own key and known hosts."""
    keys = lab.paths.ssh
    options = (
        "-o",
        f"UserKnownHostsFile={keys / 'known_hosts'}",
        "-o",
        "StrictHostKeyChecking=yes",
        "-i",
        str(keys / "id_ed25519"),
    )
    return ["ssh", *options, f"root@{lab.host(host).address}", *command]


def show_status(paths: LabPaths, *, as_json: bool) -> int:
    """Print every host of every lab."""
    entries = [entry for lab in all_labs(paths) for entry in lab.status()]
    if as_json:
        print(json.dumps(entries))
        return 0
    for entry in entries:
        print(
            "lab {lab:<4}{host:<9}{address:<15}{release:<10}{power:<5}{layer}".format(
                **{**entry, "layer": entry["layer"] or ""}
            )
        )
    if not entries:
        print("no lab hosts")
    return 0


def main() -> int:
    """Entry point."""
    options = parser().parse_args()
    if os.geteuid() != 0:
        print("lab: this needs root: it mounts, makes bridges and boots hosts.", file=sys.stderr)
        return 1
    try:
        return run_command(options)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
