"""Have a host to oneself while its database is put back: no deploy, no migration, and the shop closed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from . import audit, units
from .config import SLOTS, ReleaseConfig
from .journal import Journal
from .lease import Owner, acquire, heartbeat, release_lease
from .lock import held
from .outcome import OperationError
from .state import change_state, load_state
from .switch import reconcile
from .work import new_deploy_id

QUIESCE_SECONDS = 60.0


@contextmanager
def whole_host(
    config: ReleaseConfig, owner: Owner, *, living: tuple[str, ...] = (), doing: str, **about: Any
) -> Iterator[str]:
    """Hold the host lock, the lease and the lock of migrations for the body; yields the id that the audit has of it.

    The shop is closed and stays so after a body that ended well, for its release has to follow; it opens again when the
    body fails. Raises Locked while somebody else is at work.
    """
    deploy_id = new_deploy_id()
    journal = Journal(config, deploy_id)
    with held(config.lock_file, doing=doing):
        lease, _ = acquire(config, deploy_id, owner, living=living, last_fencing=load_state(config).fencing)
        try:
            change_state(config, fencing=lease.fencing)
            reconcile(config, claimant=deploy_id)
            with heartbeat(config, deploy_id, "restore"), journal.phase("restore"):
                quiesce = config.run_dir / "quiesce"
                with held(quiesce, wait_seconds=QUIESCE_SECONDS, doing="a restore"), closed_shop(config):
                    yield deploy_id
                audit.record_end(config, deploy_id, "restored", by=owner.name, **about)
        except BaseException as error:
            # Also a signal or a fault of the program: every deploy id has one line that says how it ended.
            words = error.message if isinstance(error, OperationError) else f"{type(error).__name__}: {error}"
            audit.record_end(config, deploy_id, "failed", phase="restore", error=words[:500])
            raise
        finally:
            release_lease(config, deploy_id)


@contextmanager
def closed_shop(config: ReleaseConfig) -> Iterator[None]:
    """Close the shop on this host; it opens again only when the body fails, for then nothing has changed."""
    was_shut = config.maintenance_file.exists()
    working = [unit for unit in map(units.worker, SLOTS) if units.is_active(unit)]
    if config.edge:
        config.maintenance_file.touch()
    try:
        for unit in working:
            units.stop(unit)
        yield
    except BaseException:
        for unit in working:
            units.start_later(unit)
        if config.edge and not was_shut:
            config.maintenance_file.unlink(missing_ok=True)
        raise
