"""Run programs: the one door of the operations to subprocess."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .outcome import OperationError

NO_SPACE = "free space on the host (df -h; du -xh -d2 / | sort -h | tail), then run deploy.yml again"


@dataclass(frozen=True)
class Finished:
    """A program that ended: exit code and both streams."""

    code: int
    stdout: str
    stderr: str


class CommandFailed(OperationError):
    """A program ended with another code than zero."""


def run(
    command: Sequence[str],
    *,
    timeout: float = 60,
    check: bool = True,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
) -> Finished:
    """Run `command` without a shell; raise CommandFailed on a non-zero code unless `check` is false."""
    try:
        done = subprocess.run(
            list(command),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            env=None if env is None else dict(env),
            check=False,
        )
    except FileNotFoundError as error:
        raise CommandFailed(
            f"{command[0]} is not installed", hint="run deploy.yml -e pasargad_converge=full"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(f"{command[0]} did not end within {timeout:g} s") from error
    if check and done.returncode != 0:
        tail = "\n".join((done.stderr or done.stdout).strip().splitlines()[-8:])
        hint = NO_SPACE if os.strerror(errno.ENOSPC) in tail else ""
        raise CommandFailed(f"{' '.join(command[:3])} ended with code {done.returncode}: {tail}", hint=hint)
    return Finished(done.returncode, done.stdout, done.stderr)
