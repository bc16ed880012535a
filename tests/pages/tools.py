"""Installs what checks pages (axe, the Nu checker, Lighthouse) into .cache/pages, as package-lock.json has it."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
CACHE = ROOT / ".cache" / "pages"
CHROMIUM = Path("/usr/bin/chromium")
INSTALL_SECONDS = 600


class ToolMissing(RuntimeError):
    """A tool is not here and cannot be brought; the message names the command that mends it."""


@dataclass(frozen=True)
class Tools:
    """Where the tools lie."""

    modules: Path

    @property
    def axe(self) -> Path:
        return self.modules / "axe-core" / "axe.min.js"

    @property
    def vnu(self) -> Path:
        return self.modules / "vnu-jar" / "build" / "dist" / "vnu.jar"

    @property
    def lighthouse(self) -> Path:
        return self.modules / "lighthouse" / "cli" / "index.js"


def install() -> Tools:
    """Install the locked packages unless they are there already; raises ToolMissing."""
    for program in ("java", "nginx"):
        if shutil.which(program, path="/usr/bin:/usr/sbin:/usr/local/bin") is None:
            raise ToolMissing(f"{program} is not installed. Run: bin/setup --tests")
    if shutil.which("npm") is None:
        raise ToolMissing("npm is not installed. Run: bin/setup --tests")
    CACHE.mkdir(parents=True, exist_ok=True)
    lock = (HERE / "package-lock.json").read_bytes() + (HERE / "package.json").read_bytes()
    wanted, stamp = hashlib.sha256(lock).hexdigest(), CACHE / "stamp"
    with (CACHE / "lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            stamp.unlink(missing_ok=True)
            for name in ("package.json", "package-lock.json"):
                shutil.copy(HERE / name, CACHE / name)
            # Nothing of what is installed may run a program of its own while it is installed.
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
            done = subprocess.run(
                command, cwd=CACHE, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
            )
            if done.returncode != 0:
                raise ToolMissing(f"npm ci failed in {CACHE}:\n{(done.stdout + done.stderr)[-2000:]}")
            stamp.write_text(wanted)
    return Tools(CACHE / "node_modules")
