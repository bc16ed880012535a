"""A host of its own for each test: real operations, processes, sockets and files, with a fake systemd."""

from __future__ import annotations

import compileall
import dataclasses
import functools
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pasargad_ops import boot, shell
from pasargad_ops.artefact import release_id
from pasargad_ops.config import ReleaseConfig
from pasargad_ops.lease import living_processes, owner_process, read_lease
from pasargad_ops.lock import is_held
from pasargad_ops.outcome import Outcome
from pasargad_ops.readiness import look
from pasargad_ops.release import inspect, run_phase
from pasargad_ops.state import load_state
from pasargad_ops.switch import live_slot
from pasargad_ops.work import ReleaseRequest, new_deploy_id
from tests.unit.pasargad_ops import fake_systemd

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[2]
TAG = f"cp{sys.version_info[0]}{sys.version_info[1]}"
INSTALLED = tempfile.TemporaryDirectory(prefix="pasargad-ops-")
REAL_RUN = shell.run
PHASES = ("begin", "stage", "expand", "start", "switch", "verify", "finish")
SECRET = "correct-horse-battery"
ENV = f"""SECRET_KEY="{SECRET}"
TINY_DATABASE="%s"
DB_NAME="tiny"
DB_HOST="here"
DB_PORT="1"
DB_USER="app"
DB_PASSWORD="app-password"
"""
MIGRATOR = 'DB_USER="migrator"\nDB_PASSWORD="migrator-password"\n'
SYSTEMD = ("systemctl", "systemd-run", "journalctl")
PROGRAMS = {
    "sync": "exit 0",
    "pg_dump": 'while [ "$1" != -f ]; do shift; done; cp "${0%/*}/../tiny.db" "$2"',
    "pg_restore": 'echo dbname: tiny; cat "$2"',
}


@dataclass(frozen=True)
class Artefact:
    """A built release: where its parts lie and what its RELEASE.json says."""

    path: Path
    manifest: dict[str, Any]

    @property
    def release(self) -> str:
        return str(self.manifest["release"])


def run(command: Sequence[str], **options: Any) -> shell.Finished:
    """Stand in for `shell.run`: what asks systemd needs no process, of which a deploy would start a hundred."""
    if command[0] not in SYSTEMD:
        return REAL_RUN(command, **options)
    done = fake_systemd.call(command[0], list(command[1:]), options.get("stdin"))
    if options.get("check", True) and done.returncode != 0:
        raise shell.CommandFailed(f"{command[0]}: {done.stderr}")
    return shell.Finished(done.returncode, done.stdout, done.stderr)


def become(role: str, slot: str) -> None:
    """Stand in for `pasargad_ops exec`, which asks for a Python of its own, in the process that is to be the slot's."""
    try:
        boot.execute(ReleaseConfig.load(Path(os.environ["FAKE_CONFIG"])), role, slot)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


@functools.cache
def installed() -> Path:
    """Install the operations once, compiled as on a host: a slot starts by them, and compiling takes its time."""
    target = Path(INSTALLED.name) / "pasargad_ops"
    shutil.copytree(REPOSITORY / "module_utils" / "pasargad_ops", target, ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(target, quiet=1)
    return target.parent


def killed(action: Callable[[], object]) -> bool:
    """Do something in a process of its own; tell whether that was killed before it came to its end."""
    pid = os.fork()
    if pid == 0:
        try:
            action()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def pack(directory: Path, target: Path) -> dict[str, Any]:
    """Pack a directory as the builder does; return the part's entry of RELEASE.json."""
    options = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"]
    subprocess.run(["tar", "--zstd", *options, "-cf", target, "-C", directory, "."], check=True)
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    return {"file": target.name, "sha256": digest, "size": target.stat().st_size}


def build(where: Path, name: str, *, contract: tuple[str, ...] = (), static_of: str = "", **about: Any) -> Artefact:
    """Build a tiny release; `about` says how ill it is and which migrations it has. It may look like another one:
    `static_of` names the release whose static files it has.
    """
    about = {"name": name, "migrations": ["shop.0001_initial"], **about}
    trees = where / f"trees-{name}"
    shutil.copytree(HERE / "tiny", trees / "code" / "app")
    (trees / "code" / "app" / "about.json").write_text(json.dumps(about))
    look = static_of or name
    static = f"shop.{hashlib.sha256(look.encode()).hexdigest()[:12]}.css"
    manifest = trees / "code" / "app" / "staticfiles" / "staticfiles.json"
    manifest.parent.mkdir()
    manifest.write_text(json.dumps({"paths": {"shop.css": static}}))
    (trees / "static").mkdir()
    (trees / "static" / static).write_text(f"/* {look} */")
    (trees / "static" / f"{static}.gz").write_bytes(b"gz")
    shutil.copytree(HERE / "tiny_deps", trees / "deps")
    target = where / f"artefact-{name}"
    target.mkdir()
    parts = {
        part: pack(trees / tree, target / f"{part}.tar.zst")
        for part, tree in (("code", "code"), ("static", "static"), (f"deps-{TAG}", "deps"))
    }
    names = [full.split(".") for full in about["migrations"]]
    content: dict[str, Any] = {
        "parts": parts,
        "schema_fingerprint": {"heads": dict(names), "digest": hashlib.sha256(repr(names).encode()).hexdigest()},
    }
    migrations = [
        {"app": app, "name": each, "phase": "contract" if f"{app}.{each}" in contract else "expand"}
        for app, each in names
    ]
    content |= {"schema": 1, "version": name, "commit": "0" * 40, "migrations": migrations, "django": "0"}
    content["release"] = release_id(content)
    (target / "RELEASE.json").write_text(json.dumps(content))
    return Artefact(target, content)


class Host:
    """One fake host and the controller that deploys to it."""

    def __init__(self, root: Path, *, database: Path | None = None, **settings: Any) -> None:
        self.root, self.database = root, database or root / "tiny.db"
        if database:
            (root / "tiny.db").symlink_to(database)
        self.config = self._configure(settings)
        self.environment = self._programs()
        env = self.config.env_dir
        env.mkdir(parents=True)
        self.put_env(ENV % self.database)
        (env / "migrator.env").write_text(MIGRATOR)
        for slot in ("blue", "green"):
            (self.config.run_dir / slot).mkdir(parents=True)
        self.config.srv_dir.mkdir()
        self.config.state_dir.mkdir(parents=True)

    def _configure(self, settings: dict[str, Any]) -> ReleaseConfig:
        root = self.root
        values = {
            "domain": "shop.test",
            "python_tag": TAG,
            "srv_dir": root / "srv",
            "etc_dir": root / "etc",
            "state_dir": root / "state",
            "run_dir": root / "run",
            "lib_dir": installed(),
            "lock_file": root / "release.lock",
            "backup_dir": root / "backups",
            "metrics_dir": root / "metrics",
            "access_log": root / "access.json",
            "edge": False,
            "ready_timeout_seconds": 15,
            "ready_passes": 2,
            "warm_rounds": 1,
            "verify_seconds": 0.05,
            "worker_wait_seconds": 5,
            **settings,
        }
        file = root / "release.json"
        file.write_text(
            json.dumps(
                {name: value if isinstance(value, int | float) else str(value) for name, value in values.items()}
            )
        )
        return ReleaseConfig.load(file)

    def _programs(self) -> dict[str, str]:
        directory = self.root / "bin"
        directory.mkdir()
        for name in SYSTEMD:
            shutil.copy(HERE / "fake_systemd.py", directory / name)
            (directory / name).chmod(0o755)
        for name, body in PROGRAMS.items():
            (directory / name).write_text(f"#!/bin/sh\n{body}\n")
            (directory / name).chmod(0o755)
        (self.root / "units").mkdir()
        return {
            "PATH": f"{directory}:/usr/bin:/bin",
            "FAKE_SYSTEMD": str(self.root / "units"),
            "FAKE_CONFIG": str(self.config.file),
            "PYTHONPATH": str(installed()),
        }

    def enter(self) -> None:
        """Let what this process does from now on happen on this host."""
        os.environ.update(self.environment)

    def put_env(self, text: str) -> str:
        """Make an environment the newest; return its digest."""
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        (self.config.env_dir / f"{digest}.env").write_text(text)
        link = self.config.env_dir / "current"
        link.unlink(missing_ok=True)
        link.symlink_to(f"{digest}.env")
        return digest

    def send(self, artefact: Artefact) -> list[str]:
        """Send the parts that the host lacks, as the role does; return their names."""
        found = inspect(self.config, ReleaseRequest("inspect", artefact.manifest)).details
        self.config.incoming.mkdir(parents=True, exist_ok=True)
        for name in found["missing"]:
            about = found["files"][name]
            shutil.copy(artefact.path / about["file"], self.config.incoming / about["incoming"])
        return list(found["missing"])

    def request(self, phase: str, artefact: Artefact, deploy_id: str, **more: Any) -> ReleaseRequest:
        owner = more.pop("owner", None) or dataclasses.asdict(owner_process("ali", os.getpid()))
        more.setdefault("living", living_processes())
        return ReleaseRequest(phase, artefact.manifest, deploy_id=deploy_id, owner=owner, **more)

    def phase(self, phase: str, artefact: Artefact, deploy_id: str, **more: Any) -> Outcome:
        self.enter()
        return run_phase(self.config, self.request(phase, artefact, deploy_id, **more))

    def deploy(
        self, artefact: Artefact, *, until: str = "finish", deploy_id: str = "", **more: Any
    ) -> dict[str, Outcome]:
        """Deploy as the play does; nothing when the release serves already."""
        if self.serving(artefact):
            return {}
        self.send(artefact)
        deploy_id = deploy_id or new_deploy_id()
        wanted = PHASES[: PHASES.index(until) + 1]
        return {phase: self.phase(phase, artefact, deploy_id, **more) for phase in wanted}

    def serving(self, artefact: Artefact) -> bool:
        return bool(inspect(self.config, ReleaseRequest("inspect", artefact.manifest)).details["serving"])

    def serves(self, artefact: Artefact) -> bool:
        """Tell whether shoppers get the release, whatever else is still to do."""
        state = load_state(self.config)
        found = state.content(live_slot(self.config))
        return found is not None and found.release == artefact.release and look(self.config, state.active or "").ready

    def crash(self, artefact: Artefact, point: str) -> str:
        """Deploy from a process that is killed at a journal point; return the deploy's id."""
        self.send(artefact)
        deploy_id = new_deploy_id()
        self.kill_at(point, lambda: [self.phase(phase, artefact, deploy_id) for phase in PHASES])
        return deploy_id

    def kill_at(self, point: str, action: Callable[[], object]) -> None:
        """Do something in a process that is killed at a journal point of this host."""
        self.config.fault_file.write_text(json.dumps({"point": point, "action": "kill"}))
        assert killed(action), f"{point} was not reached"
        self.config.fault_file.with_suffix(".hit").unlink()

    def journal(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.config.state_dir / "journal.jsonl").read_text().splitlines()]

    def audit(self) -> list[dict[str, Any]]:
        path = self.config.state_dir / "audit.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def running(self, role: str) -> list[str]:
        """The slots whose unit of that role runs."""
        from pasargad_ops.units import is_active

        self.enter()
        return [slot for slot in ("blue", "green") if is_active(f"pasargad-{role}@{slot}.service")]

    def migrations_run(self) -> int:
        """How often a migration was applied."""
        path = Path(f"{self.database}.runs")
        return len(path.read_text().splitlines()) if path.exists() else 0

    def end(self) -> None:
        """End every process that a unit of this host started."""
        for file in (self.root / "units").glob("*.json"):
            pid = json.loads(file.read_text())["pid"]
            try:
                os.killpg(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def check_invariants(host: Host, *, served_before: bool) -> None:
    """Assert what must hold after every fault (design: a deploy, phase by phase)."""
    config = host.config
    state = load_state(config)
    assert not is_held(config.lock_file)
    if served_before:
        live = live_slot(config)
        assert live is not None and look(config, live).ready, "shoppers have a ready slot"
        assert state.active == live or (state.pending and live in (state.pending.from_slot, state.pending.to_slot))
    for release in config.releases.iterdir() if config.releases.exists() else ():
        if release.suffix != ".tmp":
            assert (release / "RELEASE.json").exists() and (release / "app" / "manage.py").exists(), release
    for deps in config.deps.iterdir() if config.deps.exists() else ():
        if deps.suffix != ".tmp":
            assert (deps / "psycopg2" / "__init__.py").exists(), deps
    ids = [line["deploy"] for line in host.audit()]
    assert len(ids) == len(set(ids)), "one terminal line a deploy"


def check_settled(host: Host, artefact: Artefact) -> None:
    """Assert what must hold after a deploy that went well, whatever happened before it."""
    check_invariants(host, served_before=True)
    state = load_state(host.config)
    assert host.serving(artefact) and state.pending is None and state.active == live_slot(host.config)
    assert read_lease(host.config) is None
    assert host.running("worker") == [state.active], "exactly one scheduler"
    begun = {line["deploy"] for line in host.journal()}
    assert begun == {line["deploy"] for line in host.audit()}, "every deploy has its terminal line"
    leftovers = [path for parent in (host.config.releases, host.config.deps) for path in parent.glob("*.tmp")]
    assert not leftovers
    assert host.deploy(artefact) == {}, "again: nothing to do"


class Standing:
    """A host that serves `old`; tests that leave it settled spare the next one the first deploy."""

    def __init__(self, make_root: Callable[[], Path], release: Callable[..., Artefact]) -> None:
        self._make_root, self._release = make_root, release
        self._hosts: list[Host] = []
        self._number, self._clean = 1, False
        self.old = self._build("1")

    def _build(self, name: str) -> Artefact:
        migrations = [f"shop.{number:04d}_x" for number in range(1, self._number + 1)]
        return self._release(f"standing-{name}", migrations=migrations)

    @property
    def host(self) -> Host:
        return self._hosts[-1]

    def take(self) -> None:
        """Begin a test on the host as it stands, or on a new one when a test has failed on it."""
        if not self._clean:
            self._hosts.append(Host(self._make_root()))
            self.host.deploy(self.old)
        self.host.enter()
        self._clean = False

    def newer(self) -> Artefact:
        """Build a release with one migration more than any before it."""
        self._number += 1
        return self._build(str(self._number))

    def other(self) -> Artefact:
        """Build another release with the migrations of the newest."""
        return self._build(f"{self._number}-other")

    def settle(self, artefact: Artefact) -> None:
        """Assert that a deploy of the release has come to its end, and leave the host to the next test."""
        check_settled(self.host, artefact)
        self.old, self._clean = artefact, True

    def end(self) -> None:
        for host in self._hosts:
            host.end()
