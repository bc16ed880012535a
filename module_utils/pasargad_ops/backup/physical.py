"""Back up the whole cluster by pgbackrest, and attest what it made in the signed chain."""

from __future__ import annotations

import typing
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from ..outcome import Outcome
from .attest import BAD_PAGES, attest, labels_of, own_slot, waiting
from .chain import Entry, find_slot
from .claims import slot_of
from .context import Context
from .errors import BackupError, Code
from .job import Done, Job, Work, run_job
from .measures import OLDEST_RESTORABLE, REPO_BYTES, SETS
from .pgbackrest import Kind
from .physical_kind import Choice, choose_kind
from .physical_ready import NO_STANZA, Ready, prepare, refuse_small_disk
from .proofs import load_proofs
from .walk import Chain
from .windows import Backup, Windows

NAME = "physical"
KINDS: tuple[Kind, ...] = ("full", "diff", "incr")
Asked = Literal["auto", "full", "diff", "incr"]


@dataclass(frozen=True)
class PhysicalRequest:
    """A backup of the cluster; `slot` is the UTC date unless it is named, and each is made once on all hosts."""

    kind: Asked = "auto"
    slot: str = ""


@dataclass
class _Made:
    """The sets that a run has committed, and what hindered it from attesting what an earlier one had left."""

    entries: list[Entry] = field(default_factory=list)
    trouble: BackupError | None = None


def backup_physical(context: Context, request: PhysicalRequest, *, dry_run: bool = False) -> Outcome:
    """Make the backup of a slot and commit its set; raises BackupError with the code of its end.

    Refused before anything is begun: another cluster or repository than the settings' (CONFIG), a failing archiver
    (ARCHIVER), a disk that is too small (NO_SPACE). A backup that a dead run left is attested first.
    """
    if request.kind not in typing.get_args(Asked):
        raise BackupError(Code.CONFIG, f"{request.kind!r} is no kind of backup", hint="use auto, full, diff or incr")
    if dry_run:
        return _foresee(context, request)
    slot = request.slot or slot_of(datetime.now(UTC))
    job = Job(NAME, slot, claimed=True)
    return run_job(context, job, lambda work: _backup(work, request), finished=lambda: _is_done(context, slot))


def _is_done(context: Context, slot: str) -> bool:
    """Tell whether the slot has its set, also where the run died right after it had committed that."""
    return find_slot(context.chain().entries, NAME, slot) is not None


def _backup(work: Work, request: PhysicalRequest) -> Done:
    context, slot, made = work.context, work.job.slot, _Made()
    ready, tool, chain = prepare(context, work), context.repository.version(), context.chain()
    for finding in chain.findings:
        work.say(f"the chain has a fault, which costs no backup: {finding.text}")
    left = waiting(ready.info.current, chain, context.config.physical)
    attested = [each for each in left if _attest_left(work, made, each, tool)]
    choice = _choice(context, chain, ready, request, left)
    backup = _that_serves(request, slot, choice, attested)
    if backup is None:
        refuse_small_disk(context, ready, choice.kind)
        work.say(f"{choice.kind} backup, because {choice.why}")
        label = context.repository.backup(choice.kind)
        backup = next(each for each in context.repository.info().current if each.label == label)
        _attest(work, made, backup, slot, tool)
    _measure(work)
    if made.trouble is not None:
        raise made.trouble
    _refuse_bad(context, backup)
    return _done(backup, made.entries[-1], attested)


def _attest(work: Work, made: _Made, backup: Backup, slot: str, tool: str) -> None:
    entry = attest(work, backup, slot=slot, tool=tool)
    made.entries.append(entry)
    work.say(f"{backup.label} is set {entry.seq} of the chain ({entry.sha256[:12]})")


def _attest_left(work: Work, made: _Made, backup: Backup, tool: str) -> bool:
    """Attest what a dead run has made; damage there is told at the end, it must not cost tonight's backup."""
    try:
        _attest(work, made, backup, own_slot(backup), tool)
    except BackupError as error:
        if error.code != Code.INTEGRITY:
            raise
        made.trouble = error
        return False
    return True


def _done(backup: Backup, entry: Entry, left: Sequence[Backup]) -> Done:
    lines = [f"Physical backup {backup.label} ({backup.kind}): {entry.manifest.bytes:,} bytes in the storage."]
    if left:
        lines.append(f"Attested what an earlier run had made: {', '.join(each.label for each in left)}.")
    return Done(
        f"{backup.kind} backup {backup.label} is set {entry.seq}",
        lines=tuple(lines),
        details={"label": backup.label, "kind": backup.kind, "run_id": entry.manifest.run_id, "seq": entry.seq},
        bytes=entry.manifest.bytes,
        head=f"{entry.seq} {entry.sha256}",
    )


def _choice(context: Context, chain: Chain, ready: Ready, request: PhysicalRequest, left: Sequence[Backup]) -> Choice:
    """Return what is due, without regard to what a dead run has left."""
    if request.kind != "auto":
        return Choice(request.kind, "it was asked for")
    before = [each for each in ready.info.current if each not in left]
    proofs, ours = load_proofs(context.config.proofs_file), labels_of(chain.entries, context.config.physical)
    bad = {run_id for run_id, proof in proofs.items() if proof.flaw}
    flawed = {label for label, entry in ours.items() if entry.manifest.run_id in bad}
    known = _windows(context, ready.timeline) if before else None
    return choose_kind(before, known, ready.timeline, datetime.now(UTC), flawed=flawed)


def _windows(context: Context, timeline: int) -> Windows | None:
    """Return what the archive opens; a damaged one must not keep a backup from being made, it asks for a full one."""
    try:
        return context.repository.windows(timeline=timeline)
    except BackupError as error:
        if error.code not in (Code.INTEGRITY, Code.CHAIN, Code.WAL_GAP):
            raise
        return None


def _that_serves(request: PhysicalRequest, slot: str, choice: Choice, left: Sequence[Backup]) -> Backup | None:
    """Return the backup of a dead run that does for this slot, so that it is not made twice."""
    fit = [each for each in left if own_slot(each) == slot and not each.error]
    alike = [each for each in fit if each.kind == choice.kind or (request.kind == "auto" and choice.kind != "full")]
    return alike[-1] if alike else None


def _refuse_bad(context: Context, backup: Backup) -> None:
    """Raise where the backup that was made and attested is not a good one."""
    if backup.error:
        hint = "pg_amcheck names the tables; restore them from an older backup before that is expired"
        raise BackupError(Code.INTEGRITY, f"{backup.label}: {BAD_PAGES}", hint=hint)
    known = context.repository.windows(timeline=backup.timeline)
    if reason := next((each.why for each in known.unusable if each.label == backup.label), ""):
        hint = "pasargad-ops backup verify --level 1 tells what is missing; then make another backup"
        raise BackupError(Code.WAL_GAP, f"{backup.label} cannot be restored: {reason}", hint=hint)


def _measure(work: Work) -> None:
    """Tell how far back a restore reaches, what the repository holds, and what that takes."""
    context = work.context
    held = [each.kind for each in context.repository.info().current]
    for kind in KINDS:
        work.measure(*SETS, held.count(kind), kind=kind)
    prefix = context.place.physical(context.config.physical.generation)
    work.measure(*REPO_BYTES, sum(stored.bytes for stored in context.objects.list(prefix)))
    # What the archive lacks is verify's to tell.
    with suppress(BackupError):
        known = context.repository.windows()
        if known.windows:
            work.measure(*OLDEST_RESTORABLE, known.windows[-1].since, job=NAME)


def _foresee(context: Context, request: PhysicalRequest) -> Outcome:
    """Say what a backup would do now."""
    ready, chain = prepare(context, None), context.chain()
    left = waiting(ready.info.current, chain, context.config.physical)
    choice = _choice(context, chain, ready, request, left)
    lines = [f"would attest {each.label}, which an earlier run has made" for each in left]
    if ready.info.code == NO_STANZA:
        lines.append(f"would make the stanza {context.config.physical.stanza}")
    if _that_serves(request, request.slot or slot_of(datetime.now(UTC)), choice, left) is None:
        refuse_small_disk(context, ready, choice.kind)
        lines.append(f"would make a {choice.kind} backup, because {choice.why}")
    return Outcome(True, lines[-1], {"lines": lines, "kind": choice.kind, "waiting": [each.label for each in left]})
