"""Put pgbackrest's backups into the signed chain: what is attested is a set like any other."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from datetime import UTC, datetime

from . import chain
from .chain import Entry, read_entry
from .claims import slot_of
from .clocks import read_clock
from .config import PhysicalConfig
from .errors import BackupError, Code
from .facts import last_heartbeat, read_facts
from .job import Work
from .manifest import Crypto, Manifest, Physical, Server, Times, new_run_id
from .proofs import note_proof
from .repository_objects import FILES, Listing, listing, parts, set_at
from .walk import Chain, inspect
from .windows import Backup

# A full backup stands for its week; pgbackrest alone decides how long.
TIERS = {"full": "weekly"}
BAD_PAGES = "it holds pages with wrong checksums: the cluster's own disk is damaged"


def labels_of(entries: Iterable[Entry], physical: PhysicalConfig) -> dict[str, Entry]:
    """Return the sets that stand for backups of this repository, by pgbackrest's label."""
    return {
        entry.manifest.physical.label: entry
        for entry in entries
        if entry.manifest.physical is not None
        and entry.manifest.physical.stanza == physical.stanza
        and entry.manifest.crypto.recipients == (physical.generation,)
    }


def waiting(backups: Iterable[Backup], known: Chain, physical: PhysicalConfig) -> list[Backup]:
    """Return the backups that no set stands for yet, oldest first: a run died after it had made them."""
    done = labels_of(known.entries, physical)
    return [backup for backup in backups if backup.label not in done and backup.stop_wal]


def own_slot(backup: Backup) -> str:
    """Return the slot of a backup of which nobody knows for which it was made."""
    return slot_of(datetime.fromtimestamp(backup.started, UTC))


def attest(work: Work, backup: Backup, *, slot: str, tool: str) -> Entry:
    """Commit the set of one backup, and see that it is there as it was signed.

    Raises INTEGRITY when the storage does not hold what pgbackrest lists, and what `chain.commit` raises.
    """
    context = work.context
    objects, place = context.objects, context.place
    draft = _draft(work, backup, slot, tool)
    prefix = set_at(place, draft)
    listed = listing(objects, prefix)
    if f"{prefix}{FILES}" not in listed:
        raise BackupError(
            Code.INTEGRITY,
            f"pgbackrest lists {backup.label}, but the storage holds no {prefix}{FILES}",
            hint="pasargad-ops backup verify --level 1 tells what is damaged",
        )
    draft = dataclasses.replace(draft, objects=parts(objects, listed, prefix))
    entry = chain.commit(
        objects,
        place,
        draft,
        signer=context.signer,
        trusted=context.trusted,
        memory=context.config.memory_file,
        confirm=work.confirm,
    )
    _prove(work, entry, listing(objects, prefix), BAD_PAGES if backup.error else "")
    return entry


def _draft(work: Work, backup: Backup, slot: str, tool: str) -> Manifest:
    """Return the manifest without its objects; what the database says of itself is as of now, its WAL as of then."""
    context = work.context
    config, physical = context.config, context.config.physical
    with context.database() as connection:
        facts = read_facts(connection)
        heartbeat = last_heartbeat(connection, until=backup.started)
        connection.rollback()
    start, stop = backup.started * 1000, backup.stopped * 1000
    return Manifest(
        run_id=new_run_id(datetime.fromtimestamp(backup.stopped, UTC)),
        kind="physical",
        slot=slot,
        attempt=work.claim.key if work.claim else "",
        tier=TIERS.get(backup.kind, "daily"),
        env=config.env,
        host=config.host,
        tool=tool,
        pg=Server(
            facts.server.system_identifier, facts.server.version, backup.timeline, backup.stop_lsn, backup.stop_wal
        ),
        db=facts.database,
        extensions=facts.extensions,
        django=facts.django,
        tables=(),
        heartbeat=heartbeat,
        objects=(),
        physical=Physical(physical.stanza, backup.label, backup.kind, backup.start_wal, backup.stop_wal),
        crypto=Crypto((physical.generation,)),
        times=Times(start_ms=start, snapshot_ms=stop, end_ms=stop, commit_ms=0),
        clock=read_clock(context.objects),
        durations_ms={"backup": stop - start},
        exit=0,
    )


def _prove(work: Work, entry: Entry, listed: Listing, flaw: str) -> None:
    """Read back what was committed and compare it with the storage: a set that fails here is no last good one.

    `flaw` is what is known to be wrong with it already.
    """
    context = work.context
    again = read_entry(context.objects, context.place, entry.stored, context.trusted)
    found = inspect(context.objects, again, head=listed.get)
    flaw = found[0].text if found else flaw
    now = context.objects.now().timestamp()
    # Bad pages are seen again only by who asks pgbackrest.
    note_proof(context.config.proofs_file, entry.manifest.run_id, at=now, level=1 if flaw else 0, flaw=flaw)
    if found:
        raise BackupError(Code.INTEGRITY, flaw, hint="pasargad-ops backup verify, then take another backup")
