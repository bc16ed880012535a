"""Kill deploys in every phase, by every hand, and see that shoppers keep their shop and the next deploy converges.

    python3 -m tests.kill [--sample] [--lab 122] [--only METHOD@PHASE:EVENT]

Prints a line a fault and one JSON object as its last line; exits with 1 when a promise was broken.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from subprocess import TimeoutExpired

from tests.kill.faults import Fault, all_faults, sample
from tests.kill.matrix import Matrix, NotReached, changeable_copy
from tests.shop import CommandFailed, Shop, machine
from tests.web import Web, write_authorities


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.kill", description="Kill deploys and see what holds.")
    parser.add_argument("--lab", type=int, default=122, help="lab number to deploy to")
    parser.add_argument("--keep", action="store_true", help="leave the lab running")
    parser.add_argument("--sample", action="store_true", help="a few faults instead of all")
    parser.add_argument("--only", action="append", default=[], help="one fault, as METHOD@PHASE:EVENT")
    return parser.parse_args()


def main() -> int:
    options = parse()
    faults = [Fault(*name.split("@")) for name in options.only] or (sample() if options.sample else all_faults())
    shop, began = Shop(options.lab), time.monotonic()
    violations: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory(prefix="pasargad-kill-") as name, shop.for_a_while(keep=options.keep):
        directory = Path(name)
        web = Web(shop.network, write_authorities(shop, directory / "ca.pem"))
        matrix = Matrix(shop, changeable_copy(shop, directory), web, say)
        for number, fault in enumerate(faults, 1):
            started = time.monotonic()
            try:
                found = matrix.run(fault)
            except (NotReached, CommandFailed, TimeoutExpired) as error:
                found = [f"nothing was proven: {error}"]
            if found:
                violations[fault.name] = found
            words = "ok" if not found else "VIOLATED: " + "; ".join(found)
            say(f"{number:>3}/{len(faults)}  {fault.name:<28} {time.monotonic() - started:5.0f} s  {words}")
    result = {
        "test": "kill",
        "command": "make test-kill",
        "faults": len(faults),
        "violations": sum(map(len, violations.values())),
        "violated": violations,
        "seconds": round(time.monotonic() - began),
        "machine": machine(),
    }
    print(json.dumps(result))
    return 1 if violations else 0


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
