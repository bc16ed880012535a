"""Take away the sets that are no longer kept: the logical ones by our own rules, the physical ones by pgbackrest's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ..outcome import Outcome
from . import claims
from .chain import Entry
from .context import Context
from .errors import BackupError, Code
from .expiry import carry_out
from .job import Done, Job, Work, run_job
from .proofs import Proof, forget_proofs, load_proofs
from .retention import Held, Now, Plan, decide
from .status import size
from .walk import Chain

# Whose claims hold retention back.
OTHERS = ("logical", "physical")
GONE = "pgbackrest has expired it"


@dataclass(frozen=True)
class RetainRequest:
    """`force` lets one run take away an unusual amount; every other guard stays."""

    force: bool = False


@dataclass(frozen=True)
class Intent:
    """What one run takes away: run ids to delete, run ids with reasons to mark."""

    delete: tuple[str, ...]
    mark: tuple[tuple[str, str], ...]
    lines: tuple[str, ...]


def retain(context: Context, request: RetainRequest, *, dry_run: bool = False) -> Outcome:
    """Mark what is no longer kept and delete what an earlier run marked; raises RETENTION_REFUSED and deletes nothing.

    Runs alone on its host, and not while a backup holds a claim on any host.
    """
    if dry_run:
        chain = context.chain()
        intent = plan(context, chain, request)
        return Outcome(bool(intent.delete or intent.mark), "nothing was touched", {"code": 0, "lines": [*intent.lines]})
    slot = claims.slot_of(datetime.now(UTC))
    return run_job(context, Job("retain", slot, alone=True), lambda work: _retain(work, request))


def _retain(work: Work, request: RetainRequest) -> Done:
    context = work.context
    chain = context.chain()
    if not chain.entries:
        return Done("there is no set yet", changed=False)
    intent = plan(context, chain, request)
    _expire_physical(work, chain)
    done = carry_out(
        context.objects,
        chain,
        delete=intent.delete,
        mark=intent.mark,
        signer=context.signer,
        trusted=context.trusted,
    )
    left = context.chain()
    forget_proofs(context.config.proofs_file, [entry.manifest.run_id for entry in left.entries])
    for kind in ("logical", "physical"):
        kept = [entry for entry in left.offered if entry.manifest.kind == kind]
        work.measure("pasargad_backup_sets", "Sets that can be restored.", len(kept), kind=kind)
        total = sum(entry.manifest.bytes for entry in kept)
        work.measure("pasargad_backup_sets_bytes", "What these sets take in the storage.", total, kind=kind)
    summary = f"{len(left.offered)} sets are kept, {len(done.marked)} were given up, {len(done.deleted)} deleted"
    details = {"deleted": list(done.deleted), "marked": list(done.marked), "hidden": len(done.hidden)}
    return Done(summary, changed=bool(done.marked or done.deleted), lines=intent.lines, details=details)


def plan(context: Context, chain: Chain, request: RetainRequest) -> Intent:
    """Decide over all sets; raises RETENTION_REFUSED with the reason when the answer could cost the last good one."""
    proofs = load_proofs(context.config.proofs_file)
    logical = [entry for entry in chain.entries if entry.manifest.kind == "logical"]
    decided = decide([_held(entry, proofs) for entry in logical], context.config.policy, _now(context, chain, request))
    if decided.refused:
        raise BackupError(
            Code.RETENTION_REFUSED,
            f"nothing is deleted: {decided.refused}",
            hint="pasargad-ops backup status, then pasargad-ops backup verify --level 2",
        )
    delete, mark = _physical(context, chain)
    newest = chain.entries[-1].manifest.run_id if chain.entries else ""
    marks = [(held.run_id, why) for held, why in decided.mark if held.run_id != newest] + mark
    return Intent(
        tuple([held.run_id for held in decided.delete if held.run_id != newest] + delete),
        tuple(marks),
        _told(decided, logical, marks, delete),
    )


def _held(entry: Entry, proofs: dict[str, Proof]) -> Held:
    manifest, proof = entry.manifest, proofs.get(entry.manifest.run_id, Proof())
    return Held(
        manifest.run_id,
        datetime.fromtimestamp(manifest.times.commit_ms / 1000, UTC),
        manifest.kind,
        proof.level,
        proof.drilled_at > 0,
        manifest.bytes,
        manifest.tier,
        marked=entry.marked,
        flaw=proof.flaw,
    )


def _now(context: Context, chain: Chain, request: RetainRequest) -> Now:
    bound = timedelta(seconds=context.config.bounds.job_seconds)
    return Now(
        storage_time=context.objects.now(),
        host_time=datetime.now(UTC),
        chain_fault=chain.findings[0].text if chain.findings else "",
        live=claims.live_slots(context.objects, context.place, dict.fromkeys(OTHERS, bound)),
        force=request.force,
    )


def _physical(context: Context, chain: Chain) -> tuple[list[str], list[tuple[str, str]]]:
    """Return which physical sets to delete and to mark: those that pgbackrest no longer lists, newest always kept."""
    mine = [entry for entry in chain.entries if entry.manifest.physical and _is_ours(context, entry)]
    if not mine:
        return [], []
    labels = {backup.label for backup in context.repository.info().backups}
    if not labels:
        # A repository that was emptied is for verify to tell, not for retention to follow.
        raise BackupError(
            Code.RETENTION_REFUSED,
            f"nothing is deleted: pgbackrest lists no backup, the chain {len(mine)}",
            hint="pasargad-ops backup verify --level 1",
        )
    newest = chain.entries[-1].seq
    gone = [entry for entry in mine if _label(entry) not in labels and entry.seq != newest]
    return (
        [entry.manifest.run_id for entry in gone if entry.marked],
        [(entry.manifest.run_id, GONE) for entry in gone if not entry.marked],
    )


def _is_ours(context: Context, entry: Entry) -> bool:
    physical = entry.manifest.physical
    return (
        physical is not None
        and physical.stanza == context.config.physical.stanza
        and entry.manifest.crypto.recipients == (context.config.physical.generation,)
    )


def _label(entry: Entry) -> str:
    return entry.manifest.physical.label if entry.manifest.physical else ""


def _expire_physical(work: Work, chain: Chain) -> None:
    """Let pgbackrest expire, once a younger full set than those that go has been proven to its last byte."""
    context = work.context
    proofs = load_proofs(context.config.proofs_file)
    proven = [
        entry
        for entry in chain.offered
        if _is_ours(context, entry) and context.config.policy.is_good(_held(entry, proofs))
    ]
    if not proven:
        if any(_is_ours(context, entry) for entry in chain.offered):
            work.say("no physical set is proven yet, so pgbackrest expires none")
        return
    context.repository.expire()


def _told(decided: Plan, logical: list[Entry], marks: list[tuple[str, str]], physical: list[str]) -> tuple[str, ...]:
    seq = {entry.manifest.run_id: entry.seq for entry in logical}
    lines = [f"keep {seq[held.run_id]}: {why}" for held, why in decided.keep[-3:]]
    if len(decided.keep) > len(lines):
        lines.insert(0, f"{len(decided.keep)} logical sets are kept; the newest of them:")
    lines += [f"give up {seq.get(run_id, run_id)}: {why}" for run_id, why in marks]
    lines += [f"delete {seq[held.run_id]}, {size(held.bytes)}: given up by an earlier run" for held in decided.delete]
    lines += [f"delete {run_id}: given up by an earlier run" for run_id in physical]
    return tuple(lines)
