"""Measure what the backups cost and how fast they come back, beside the common ways of doing it.

    python3 -m tests.bench.bench_backup [--megabytes 1000] [--rounds 3]

A seeded database on a cluster of our own is backed up in rounds, one way after the other: `pg_dump -Fc | openssl`,
`pg_dump -Fd -j2`, our logical job, our physical job; then the first is restored in rounds with a physical drill. Wall
seconds, CPU of the clients and of the server's backends, memory of the clients (proportional, so that shared pages
count once) and bytes. Compared is within a round; told are medians. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.backup.jobs_rig import Host, host
from tests.backup.pgbackrest_rig import until
from tests.backup.rig import keys
from tests.bench.backup_data import fill
from tests.services import postgres_programs
from tests.shop import machine

PASSPHRASE = "a passphrase of the benchmark"
TICKS = os.sysconf("SC_CLK_TCK")
EVERY_SECONDS = 0.05
WAITING = "SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'"
LOGICAL = (
    "from pasargad_ops.backup.logical import LogicalRequest, backup_logical\n"
    "backup_logical(context, LogicalRequest(slot={slot!r}))\n"
)
PHYSICAL = (
    "from pasargad_ops.backup.physical import PhysicalRequest, backup_physical\n"
    "backup_physical(context, PhysicalRequest(kind='full', slot={slot!r}))\n"
)
DRILL = (
    "import json\nfrom pasargad_ops.backup.drill import DrillRequest, drill\n"
    "print('DRILL', json.dumps(drill(context, DrillRequest('physical')).details))\n"
)


@dataclass(frozen=True)
class Cost:
    """What one run cost: seconds, CPU seconds of clients and server, peak memory of the clients, bytes kept."""

    wall_s: float
    client_cpu_s: float
    server_cpu_s: float
    peak_mib: float
    bytes: int
    told: str = ""


class Memory:
    """The most that a process and all that came from it held at one time, in MiB."""

    def __init__(self, pid: int) -> None:
        self.peak = 0.0
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(EVERY_SECONDS):
            self.peak = max(self.peak, sum(proportional(pid) for pid in family(self._pid)) / 1024)

    def end(self) -> float:
        """Stop watching and return the peak."""
        self._ended.set()
        self._thread.join()
        return self.peak


def family(pid: int) -> list[int]:
    """Return a process and its descendants."""
    found, waiting = [], [pid]
    while waiting:
        one = waiting.pop()
        found.append(one)
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                waiting += [int(child) for child in task.read_text().split()]
            except OSError:
                continue
    return found


def proportional(pid: int) -> int:
    """Return the proportional set size in KiB."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def server_cpu(data: Path) -> float:
    """Return the CPU seconds of the server's backends that have ended."""
    pid = (data / "postmaster.pid").read_text().split()[0]
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / TICKS


def measured(made: Host, start: Callable[[], subprocess.Popen[str]], size: Callable[[], int]) -> Cost:
    """Run something to its end and tell what it cost; it must end with 0."""
    server, begun = server_cpu(made.rig.data), time.monotonic()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = start()
    memory = Memory(process.pid)
    told, _ = process.communicate()
    peak = memory.end()
    wall = time.monotonic() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode != 0:
        raise SystemExit(f"bench-backup: ended with {process.returncode}: {told[-2000:]}")
    client = (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)
    time.sleep(0.2)
    return Cost(wall, client, server_cpu(made.rig.data) - server, peak, size(), told)


def shell(made: Host, script: str) -> subprocess.Popen[str]:
    """Run a pipeline that fails when any of its programs does."""
    environment = {
        **os.environ,
        "PGHOST": str(made.rig.root / "sockets"),
        "PGUSER": "postgres",
        "PGDATABASE": "postgres",
    }
    environment["PATH"] = f"{postgres_programs()}:{os.environ['PATH']}"
    return subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", script],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def bytes_below(path: Path) -> int:
    """Return what a file or a directory takes."""
    if path.is_file():
        return path.stat().st_size
    return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())


def newest_bytes(made: Host) -> int:
    """Return what the newest set takes in the storage."""
    return made.context.chain().entries[-1].manifest.bytes


def one_round(made: Host, scratch: Path, number: int) -> dict[str, Cost]:
    """Back up in each way, each time from its beginning."""
    piped, folder = scratch / "dump.enc", scratch / "dump.d"
    piped.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    secret = f"-pass file:{scratch / 'pass'}"
    openssl = f"pg_dump -Fc | openssl enc -aes-256-cbc -pbkdf2 {secret} > {piped}"
    ways: dict[str, tuple[Callable[[], subprocess.Popen[str]], Callable[[], int]]] = {
        "openssl": (lambda: shell(made, openssl), lambda: bytes_below(piped)),
        "logical": (lambda: made.start(LOGICAL.format(slot=f"r{number}")), lambda: newest_bytes(made)),
        "directory": (lambda: shell(made, f"pg_dump -Fd -j2 -f {folder}"), lambda: bytes_below(folder)),
        "physical": (lambda: made.start(PHYSICAL.format(slot=f"r{number}")), lambda: newest_bytes(made)),
    }
    costs = {}
    for name, (start, size) in ways.items():
        cost = costs[name] = measured(made, start, size)
        print(
            f"round {number}: {name:<9} {cost.wall_s:6.1f} s, client {cost.client_cpu_s:5.1f} CPU s, "
            f"server {cost.server_cpu_s:5.1f}, {cost.peak_mib:5.0f} MiB, {cost.bytes / 1e6:7.1f} MB",
            flush=True,
        )
    return costs


def one_restore(made: Host, scratch: Path, number: int) -> tuple[Cost, Cost, float]:
    """Restore the piped dump to its first answer, then drill; return both costs, and the drill's own time to answer."""
    made.rig.sql("DROP DATABASE IF EXISTS back")
    made.rig.sql("CREATE DATABASE back TEMPLATE template0")
    opened = f"openssl enc -d -aes-256-cbc -pbkdf2 -pass file:{scratch / 'pass'} -in {scratch / 'dump.enc'}"
    script = f"{opened} | pg_restore -d back; psql -Atd back -c 'SELECT count(*) FROM line'"
    dumped = measured(made, lambda: shell(made, script), lambda: 0)
    made.rig.sql("DROP DATABASE back")
    drilled = measured(made, lambda: made.start(DRILL), lambda: 0)
    told = next(line for line in drilled.told.splitlines() if line.startswith("DRILL "))
    answer = json.loads(told.removeprefix("DRILL "))["rto_ms"] / 1000
    print(
        f"restore {number}: openssl {dumped.wall_s:.1f} s; physical {answer:.1f} s to the first answer, "
        f"{drilled.wall_s:.1f} s with all checks",
        flush=True,
    )
    return dumped, drilled, answer


def median(values: Sequence[float]) -> float:
    """Return the median, rounded for people."""
    return round(statistics.median(values), 3)


def figures(rounds: Sequence[dict[str, Cost]], restores: Sequence[tuple[Cost, Cost, float]]) -> dict[str, Any]:
    """Return ratios within rounds, and medians of what was measured."""

    def ratio(of: Callable[[dict[str, Cost]], float]) -> float:
        return median([of(one) for one in rounds])

    return {
        "wall_ratio": ratio(lambda one: one["logical"].wall_s / one["openssl"].wall_s),
        "wall_ratio_directory": ratio(lambda one: one["logical"].wall_s / one["directory"].wall_s),
        "cpu_ratio": ratio(lambda one: one["openssl"].client_cpu_s / one["logical"].client_cpu_s),
        "server_cpu_ratio": ratio(lambda one: one["logical"].server_cpu_s / one["openssl"].server_cpu_s),
        "size_ratio": ratio(lambda one: one["logical"].bytes / one["openssl"].bytes),
        "peak_rss_mib": round(max(one["logical"].peak_mib for one in rounds), 1),
        "restore_speedup": median([dumped.wall_s / answer for dumped, _, answer in restores]),
        "drill_s": median([drilled.wall_s for _, drilled, _ in restores]),
        "bytes": int(statistics.median(one["logical"].bytes for one in rounds)),
        "ways": {
            name: {
                "wall_s": median([one[name].wall_s for one in rounds]),
                "client_cpu_s": median([one[name].client_cpu_s for one in rounds]),
                "server_cpu_s": median([one[name].server_cpu_s for one in rounds]),
                "peak_mib": round(max(one[name].peak_mib for one in rounds), 1),
                "bytes": int(statistics.median(one[name].bytes for one in rounds)),
            }
            for name in rounds[0]
        },
    }


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=1000, help="about how large the database is")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with host() as made:
        made.rig.sql("DROP TABLE orders")
        scratch = made.rig.root / "bench"
        scratch.mkdir()
        (scratch / "pass").write_text(PASSPHRASE)
        made.more = {
            **made.more,
            "recipients_file": str(keys(scratch).recipients),
            "scratch_dir": str(made.rig.root / "drill"),
        }
        begun = time.monotonic()
        rows = fill(made.rig.sql, options.megabytes)
        # What the filling wrote has left before anything is measured.
        until(lambda: made.rig.sql(WAITING) == "0", seconds=600)
        size = int(made.rig.sql("SELECT pg_database_size('postgres')"))
        print(f"{rows:,} rows, {size / 1e6:,.0f} MB, made in {time.monotonic() - begun:.0f} s", flush=True)
        rounds = [one_round(made, scratch, number) for number in range(1, options.rounds + 1)]
        restores = [one_restore(made, scratch, number) for number in range(1, options.rounds + 1)]
    found = figures(rounds, restores)
    print(
        json.dumps(
            {
                "bench": "backup",
                "command": " ".join(["python3 -m tests.bench.bench_backup", *sys.argv[1:]]),
                "machine": machine(),
                "rounds": options.rounds,
                "rows": rows,
                "database_bytes": size,
                **found,
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
