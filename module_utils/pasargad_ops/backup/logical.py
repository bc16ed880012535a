"""Make a logical set: the database of one snapshot, its roles, the settings and the media, encrypted and signed."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from ..outcome import Outcome
from . import claims
from .chain import Entry, commit, find_slot, read_entry
from .context import Context
from .dump import pack
from .errors import BackupError, Code
from .facts import read_facts
from .job import Done, Job, Work, run_job
from .logical_dump import Dumped, dump_database
from .logical_ready import MEDIA, SETTINGS, Readiness, files_of, ready
from .manifest import Crypto, Manifest, Times
from .measures import CHAIN_SEQ, SETS, SKEW
from .proofs import FOR_PEOPLE, load_proofs, note_proof
from .retention import tier_for
from .set_writer import SetWriter
from .stopwatch import Stopwatch
from .unusual import bytes_by_group, flaw_of
from .walk import Chain

JOB = "logical"


@dataclass(frozen=True)
class LogicalRequest:
    """Back up now, for the UTC date of today or, by hand, for a slot of another name."""

    slot: str = ""


def backup_logical(context: Context, request: LogicalRequest, *, dry_run: bool = False) -> Outcome:
    """Make the set of a slot and commit it; raises BackupError, and then no set is listed.

    One exception: a set that is much smaller than those before it is committed, is never the last good one, and ends
    with INTEGRITY.
    """
    slot = request.slot or claims.slot_of(datetime.now(UTC))
    if dry_run:
        return _foretell(context, slot)
    job = Job(JOB, slot, claimed=True, quiesces=True)
    return run_job(context, job, _back_up, finished=partial(_is_there, context, slot))


def _is_there(context: Context, slot: str) -> bool:
    return find_slot(context.chain().entries, JOB, slot) is not None


def _foretell(context: Context, slot: str) -> Outcome:
    """Say what would be done; it only reads."""
    found, now = claims.look(context.objects, context.place, JOB, slot), context.objects.now()
    bound = timedelta(seconds=context.config.bounds.job_seconds)
    taken = found.is_done() or found.is_live(now, bound) or _is_there(context, slot)
    about = ready(context)
    with context.database() as connection:
        database = read_facts(connection).database
    would = f"would back up {database.name} ({database.bytes >> 20} MiB) for {slot}"
    summary = f"would do nothing: the slot {slot} is done or another run's" if taken else would
    details = {"slot": slot, "bytes": database.bytes, "lines": list(about.lines), "code": int(Code.DONE)}
    return Outcome(not taken, summary, details)


def _back_up(work: Work) -> Done:
    context, watch = work.context, Stopwatch(work.say)
    try:
        with watch.phase("check"):
            about, chain = ready(context), context.chain()
        for line in (*about.lines, *(f"the chain is not sound: {finding.text}" for finding in chain.findings)):
            work.say(line)
        work.measure(
            *SKEW,
            about.clock.skew_ms / 1000,
            job=JOB,
        )
        tier = tier_for(context.objects.now(), _sound(context, chain))
        prefix = context.place.logical(work.started, work.run_id)
        writer = SetWriter(context.objects, prefix, tier, _retain_until(context, tier))
        entry, flaw = _make(work, watch, writer, about, chain)
    finally:
        for phase, seconds in watch.seconds.items():
            words = "How long each phase of the job took."
            work.measure("pasargad_backup_phase_seconds", words, seconds, job=JOB, phase=phase)
    return _tell(work, entry, flaw, chain, about.lines)


def _sound(context: Context, chain: Chain) -> list[datetime]:
    """Return when the sets were made that can stand for their week and month."""
    proofs = load_proofs(context.config.proofs_file)
    return [
        datetime.fromtimestamp(entry.manifest.times.commit_ms / 1000, UTC)
        for entry in chain.offered
        if entry.manifest.kind == JOB and not (entry.manifest.run_id in proofs and proofs[entry.manifest.run_id].flaw)
    ]


def _retain_until(context: Context, tier: str) -> datetime | None:
    """Return until when Object Lock is asked for; None leaves it to the bucket, and a directory has none."""
    days = getattr(context.config.retain, tier)
    return context.objects.now() + timedelta(days=days) if days and context.config.storage.bucket else None


def _make(work: Work, watch: Stopwatch, writer: SetWriter, about: Readiness, chain: Chain) -> tuple[Entry, str]:
    """Write the objects and commit them; whatever fails before the manifest is written, they are taken away again."""
    context, sealing = work.context, False

    def confirm() -> None:
        nonlocal sealing
        work.confirm()
        # From now on a failure does not tell whether the manifest is there, so its objects have to stay.
        sealing = True

    try:
        dumped = dump_database(context, writer, watch)
        with watch.phase("files"):
            _write_files(work, writer)
        with watch.phase("verify"):
            writer.check()
        draft = _draft(work, watch, writer, about, dumped)
        flaw = _note_flaw(context, draft, chain)
        entry = commit(
            context.objects,
            context.place,
            draft,
            signer=context.signer,
            trusted=context.trusted,
            memory=context.config.memory_file,
            confirm=confirm,
            retain_until=writer.retain_until,
        )
    except BaseException:
        writer.end()
        if not sealing:
            writer.discard()
        raise
    if read_entry(context.objects, context.place, entry.stored, context.trusted).sha256 != entry.sha256:
        raise BackupError(Code.INTEGRITY, f"{entry.key} is not what was committed", hint="pasargad-ops backup verify")
    return entry, flaw


def _write_files(work: Work, writer: SetWriter) -> None:
    for role, paths in files_of(work.context.config).items():
        writer.write(role, pack(paths, work.context.config.recipients_file), _size_of(paths))


def _size_of(paths: Sequence[Path]) -> int:
    """Return about how many bytes a tar of these paths has; what vanishes meanwhile is not counted."""
    total = 0
    for path in paths:
        for folder, _, names in os.walk(path):
            for name in names:
                try:
                    total += os.lstat(os.path.join(folder, name)).st_size + 2048  # noqa: PTH118 - many small files
                except OSError:
                    continue
        total += path.lstat().st_size if path.is_file() else 0
    return total


def _draft(work: Work, watch: Stopwatch, writer: SetWriter, about: Readiness, dumped: Dumped) -> Manifest:
    config, facts = work.context.config, dumped.facts
    started = round(work.started.timestamp() * 1000)
    return Manifest(
        run_id=work.run_id,
        kind=JOB,
        slot=work.job.slot,
        attempt=work.claim.key if work.claim else "",
        tier=writer.tier,
        env=config.env,
        host=config.host,
        tool=about.tool,
        pg=facts.server,
        db=facts.database,
        extensions=facts.extensions,
        django=facts.django,
        tables=dumped.tables,
        heartbeat=facts.heartbeat,
        objects=writer.parts,
        physical=None,
        crypto=Crypto(about.recipients),
        times=Times(started, dumped.snapshot_ms, round(time.time() * 1000), 0),
        clock=about.clock,
        durations_ms=watch.milliseconds,
        exit=0,
    )


def _note_flaw(context: Context, draft: Manifest, chain: Chain) -> str:
    """Write down what is unusually small: before the commit, for a crash must not leave it among the good sets."""
    config = context.config
    wanted = ["data", *([SETTINGS] if config.settings_paths else []), *([MEDIA] if config.media_paths else [])]
    flaw = flaw_of(draft.objects, draft.rows, [entry.manifest for entry in chain.offered], wanted)
    if flaw:
        note_proof(config.proofs_file, draft.run_id, at=time.time(), level=FOR_PEOPLE, flaw=flaw)
    return flaw


def _tell(work: Work, entry: Entry, flaw: str, chain: Chain, lines: Sequence[str]) -> Done:
    manifest, head = entry.manifest, f"{entry.seq} {entry.sha256}"
    note_proof(work.context.config.proofs_file, manifest.run_id, at=time.time(), level=0)
    _measure(work, entry, chain)
    if flaw:
        raise BackupError(
            Code.INTEGRITY,
            f"set {entry.seq} is committed and does not count as good: {flaw}; head of the chain: {head}",
            hint="look into the shop's tables: if nobody deleted that much, restore the set before (backup restore)",
            details={"run_id": manifest.run_id, "seq": entry.seq, "flaw": flaw},
        )
    size, rows = manifest.bytes, manifest.rows
    return Done(
        f"set {entry.seq} of {work.job.slot} ({manifest.tier}): {rows} rows in {size / 1e6:.1f} MB",
        lines=tuple(lines),
        details={
            "run_id": manifest.run_id,
            "seq": entry.seq,
            "sha256": entry.sha256,
            "slot": manifest.slot,
            "tier": manifest.tier,
            "bytes": size,
            "rows": rows,
        },
        bytes=size,
        head=head,
    )


def _measure(work: Work, entry: Entry, chain: Chain) -> None:
    manifest, sizes = entry.manifest, bytes_by_group(entry.manifest.objects)
    sets = 1 + sum(one.manifest.kind == JOB for one in chain.offered)
    work.measure(*SETS, sets, job=JOB, kind=JOB)
    work.measure(*CHAIN_SEQ, entry.seq, job=JOB)
    work.measure("pasargad_backup_rows", "Rows of all tables in the last set.", manifest.rows, job=JOB)
    for role in ("data", "schema", SETTINGS, MEDIA):
        words = "Bytes of the last set in the storage, by what they hold."
        work.measure("pasargad_backup_object_bytes", words, sizes.get(role, 0), job=JOB, role=role)
