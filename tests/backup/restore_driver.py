"""Restore in a process of its own that kills itself at a step: python -m tests.backup.restore_driver ROOT STEP [FAIL].

The steps are numbered from 1, each right before something is done. With FAIL the restored cluster is found unfit, so
that the way back has steps too. Without a STEP that it reaches it ends as the restore does.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from pasargad_ops.backup import restore as job
from pasargad_ops.backup import restore_swap
from pasargad_ops.backup.errors import BackupError, Code
from pasargad_ops.backup.pgbackrest import Repository
from pasargad_ops.backup.restore import RestoreRequest, restore
from pasargad_ops.backup.restore_swap import Service
from pasargad_ops.files import write_json
from tests.backup.restore_rig import Shop


def count(at: int) -> Callable[[str, Callable[..., object]], Callable[..., object]]:
    """Return how an act becomes a step."""
    done = 0

    def step(name: str, act: Callable[..., object]) -> Callable[..., object]:
        def stepping(*arguments: object, **named: object) -> object:
            nonlocal done
            done += 1
            print(f"step {done}: {name}", flush=True)
            if done == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return act(*arguments, **named)

        return stepping

    return step


def main() -> None:
    """Patch the steps in and restore."""
    shop, at, unfit = Shop(Path(sys.argv[1])), int(sys.argv[2]), len(sys.argv) > 3
    step = count(at)

    def refuse(*_: object) -> None:
        raise BackupError(Code.RESTORE_FAILED, "it is not fit")

    check = refuse if unfit else job._answers
    for owner, name, words, act in (
        (Repository, "restore", "fetch", Repository.restore),
        (job, "_look", "look", job._look),
        (job, "forget_recovery", "forget", restore_swap.forget_recovery),
        (job, "_answers", "check", check),
        (restore_swap, "write_json", "journal", write_json),
        (restore_swap, "_rename", "rename", restore_swap._rename),
        (restore_swap, "offer_to_archive", "offer", restore_swap.offer_to_archive),
    ):
        setattr(owner, name, step(words, act))
    service = Service(step("start", shop.start), step("stop", shop.stop))  # type: ignore[arg-type]
    word = f"RESTORE-{shop.context.config.cluster.system_id[-4:]}"
    restore(shop.context, RestoreRequest(confirm=word), service=service)


if __name__ == "__main__":
    main()
