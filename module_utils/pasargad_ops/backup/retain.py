"""Take away the sets that are no longer kept: the logical ones by our own rules, the physical ones by pgbackrest's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ..outcome import Outcome
from . import claims
from .attest import labels_of
from .chain import Entry
from .context import Context
from .errors import BackupError, Code
from .expiry import carry_out
from .job import Done, Job, Work, run_job
from .measures import SETS, SETS_BYTES, SETS_DELETED, SETS_MARKED
from .proofs import Proof, forget_proofs, load_proofs
from .retention import Held, Now, Plan, decide, hindrance
from .status import size
from .walk import Chain

# Whose claims hold retention back.
OTHERS = ("logical", "physical")
KINDS = ("logical", "physical")
GONE = "pgbackrest has expired it"
LOOK = "pasargad-ops backup status, then pasargad-ops backup verify --level 1"


@dataclass(frozen=True)
class RetainRequest:
    """`force` lets one run take away an unusual amount; every other guard stays."""

    force: bool = False


@dataclass(frozen=True)
class Intent:
    """What one run takes away: run ids to delete, run ids with reasons to mark; `lines` tell people."""

    delete: tuple[str, ...] = ()
    mark: tuple[tuple[str, str], ...] = ()
    lines: tuple[str, ...] = ()


def retain(context: Context, request: RetainRequest, *, dry_run: bool = False) -> Outcome:
    """Mark what is no longer kept and delete what an earlier run marked; raises RETENTION_REFUSED and deletes nothing.

    Runs alone on its host, and not while a backup holds a claim on any host. pgbackrest expires by its own rules, but
    only once nothing forbids it here, and a set that it will keep has been read to its last byte.
    """
    if dry_run:
        chain = context.chain()
        intent = plan(context, chain, judge(context, chain, request), request)
        words = f"would give up {len(intent.mark)} sets and delete {len(intent.delete)}; nothing was touched"
        return Outcome(False, words, {"code": 0, "lines": [*intent.lines]})
    slot = claims.slot_of(host_time())
    return run_job(context, Job("retain", slot, alone=True), lambda work: _retain(work, request))


def host_time() -> datetime:
    """Return the time by this host's clock."""
    return datetime.now(UTC)


def _retain(work: Work, request: RetainRequest) -> Done:
    context = work.context
    chain = context.chain()
    decided = judge(context, chain, request)
    if not chain.entries:
        return Done("there is no set yet", changed=False)
    said = _expire_physical(context, chain)
    intent = plan(context, chain, decided, request)
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
    _measure(work, left, len(done.marked), len(done.deleted))
    summary = f"{len(left.offered)} sets are kept, {len(done.marked)} were given up, {len(done.deleted)} deleted"
    details = {"deleted": list(done.deleted), "marked": list(done.marked), "hidden": len(done.hidden)}
    lines = (*intent.lines, said) if said else intent.lines
    return Done(summary, changed=bool(done.marked or done.deleted), lines=lines, details=details)


def judge(context: Context, chain: Chain, request: RetainRequest) -> Plan:
    """Decide over the logical sets; raises RETENTION_REFUSED when the answer could cost the last good one.

    What stands around, such as clocks that disagree, forbids as much to pgbackrest, so it is asked for in any case.
    """
    proofs, policy = load_proofs(context.config.proofs_file), context.config.policy
    sets, now = [_held(entry, proofs) for entry in chain.entries], _now(context, chain, request)
    decided = decide([held for held in sets if held.kind == "logical"], policy, now)
    if words := decided.refused or hindrance(sets, policy, now):
        raise _refused(words, "pasargad-ops backup status, then pasargad-ops backup verify --level 2")
    return decided


def plan(context: Context, chain: Chain, decided: Plan, request: RetainRequest) -> Intent:
    """Add what pgbackrest no longer lists to what was decided, and tell both; the end of the chain always stays."""
    mark, delete = {held.run_id: why for held, why in decided.mark}, {held.run_id for held in decided.delete}
    for entry in _gone(context, chain, request):
        if entry.marked:
            delete.add(entry.manifest.run_id)
        else:
            mark[entry.manifest.run_id] = GONE
    going = [entry for entry in chain.entries[:-1] if entry.manifest.run_id in delete | mark.keys()]
    lines = [*_told(decided), *(_line(entry, mark.get(entry.manifest.run_id, "")) for entry in going)]
    return Intent(
        tuple(entry.manifest.run_id for entry in going if entry.manifest.run_id in delete),
        tuple((entry.manifest.run_id, mark[entry.manifest.run_id]) for entry in going if not entry.marked),
        tuple(lines),
    )


def _held(entry: Entry, proofs: dict[str, Proof]) -> Held:
    manifest, proof = entry.manifest, proofs.get(entry.manifest.run_id, Proof())
    return Held(
        manifest.run_id,
        _made(entry),
        manifest.kind,
        proof.level,
        proof.drilled_at > 0,
        manifest.bytes,
        manifest.tier,
        marked=entry.marked,
        flaw=proof.flaw,
    )


def _made(entry: Entry) -> datetime:
    return datetime.fromtimestamp(entry.manifest.times.commit_ms / 1000, UTC)


def _now(context: Context, chain: Chain, request: RetainRequest) -> Now:
    bound = timedelta(seconds=context.config.bounds.job_seconds)
    return Now(
        storage_time=context.objects.now(),
        host_time=host_time(),
        chain_fault=chain.findings[0].text if chain.findings else "",
        live=claims.live_slots(context.objects, context.place, dict.fromkeys(OTHERS, bound)),
        force=request.force,
    )


def _gone(context: Context, chain: Chain, request: RetainRequest) -> list[Entry]:
    """Return the physical sets that pgbackrest no longer lists; raises RETENTION_REFUSED where it should list them.

    A tombstone is for ever, so a list that was damaged or replaced must not be believed.
    """
    mine = labels_of(chain.entries, context.config.physical)
    if not mine:
        return []
    listed = {backup.label for backup in context.repository.info().backups}
    if not listed:
        raise _refused(f"pgbackrest lists no backup, the chain {len(mine)}", LOOK)
    gone = [entry for label, entry in mine.items() if label not in listed]
    since = context.objects.now() - timedelta(days=context.config.policy.days)
    young = [entry for entry in gone if not entry.marked and _made(entry) > since]
    if young and not request.force:
        label = young[0].manifest.physical.label if young[0].manifest.physical else ""
        raise _refused(
            f"pgbackrest no longer lists {label} (set {young[0].seq}), which is younger than "
            f"{context.config.policy.days} days",
            f"{LOOK}; if it was expired by hand: pasargad-ops backup retain --force",
        )
    return gone


def _expire_physical(context: Context, chain: Chain) -> str:
    """Let pgbackrest expire, or return why it must not: it always keeps what is younger than the days of the policy,
    so one such set has to be known as good."""
    proofs, policy = load_proofs(context.config.proofs_file), context.config.policy
    mine = labels_of(chain.offered, context.config.physical).values()
    since = context.objects.now() - timedelta(days=policy.days)
    if any(policy.is_good(_held(entry, proofs)) and _made(entry) > since for entry in mine):
        context.repository.expire()
        return ""
    if not mine:
        return ""
    return f"pgbackrest expired nothing: of the last {policy.days} days no physical set has been read to its last byte"


def _measure(work: Work, left: Chain, marked: int, deleted: int) -> None:
    for kind in KINDS:
        kept = [entry for entry in left.offered if entry.manifest.kind == kind]
        work.measure(*SETS, len(kept), kind=kind, job="retain")
        work.measure(*SETS_BYTES, sum(entry.manifest.bytes for entry in kept), kind=kind)
    work.measure(*SETS_MARKED, marked)
    work.measure(*SETS_DELETED, deleted)


def _told(decided: Plan) -> list[str]:
    """Say what is kept of the logical sets, by the reasons."""
    reasons: dict[str, int] = {}
    for _, why in decided.keep:
        for reason in why.split("; "):
            reasons[reason] = reasons.get(reason, 0) + 1
    amount = size(sum(held.bytes for held, _ in decided.keep))
    return [
        f"keep {len(decided.keep)} logical sets, {amount}",
        *(f"  {count}: {reason}" for reason, count in reasons.items()),
    ]


def _line(entry: Entry, why: str) -> str:
    manifest = entry.manifest
    name = f"{manifest.physical.label}, " if manifest.physical else ""
    told = f"set {entry.seq} of {_made(entry):%Y-%m-%d} ({name}{size(manifest.bytes)})"
    return f"give up {told}: {why}" if why else f"delete {told}: given up by an earlier run"


def _refused(words: str, hint: str) -> BackupError:
    return BackupError(Code.RETENTION_REFUSED, f"nothing is deleted: {words}", hint=hint)
