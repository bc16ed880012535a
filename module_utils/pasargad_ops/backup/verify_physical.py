"""Look at pgbackrest's repository: its own reading, the second opinion, what can be restored, and what is attested."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import timedelta

from .attest import labels_of
from .chain import Entry
from .errors import BackupError, Code
from .measures import OLDEST_RESTORABLE, WAL_GAP
from .pgbackrest_read import Finding
from .repository_objects import SUMMED
from .verify_round import Round
from .walk import HINT
from .windows import Backup

LABEL = re.compile(r"\b[0-9]{8}-[0-9]{6}F(?:_[0-9]{8}-[0-9]{6}[DI])?(?![0-9A-Z_])")
# The next run attests what one that died has made; it comes a day later.
WAIT = timedelta(days=1)
JOB = "verify"


def look_at_repository(round_: Round, entries: Sequence[Entry], last_archived: str, *, contents: bool) -> None:
    """Look at the repository without reading the backups' bytes, unless `contents` are to be read too."""
    repository = round_.context.repository
    ours = labels_of(entries, round_.context.config.physical)
    names = repository.verify(contents=False, last_archived=last_archived)
    if any(finding.code == Code.KEY for finding in names):
        # Everything else would only say in other words that nothing can be deciphered.
        _take_down(round_, 1, names, ours, ())
        return
    backups = repository.info().backups
    names += _unattested(round_, backups, ours)
    _take_down(round_, 1, names, ours, backups)
    if not backups:
        return
    round_.attempt(1, lambda: _measure(round_, names))
    round_.attempt(1, lambda: _compare_sums(round_, ours.values()))
    # The second opinion names no backup that our own reading has not named.
    for finding in round_.attempt(1, repository.check_pgbackrest) or ():
        round_.find(1, finding)
    level = 1
    if contents:
        round_.say("pgbackrest reads every byte of its repository")
        seen = set(names)
        read = [each for each in repository.verify(last_archived=last_archived) if each not in seen]
        _take_down(round_, 2, read, ours, backups)
        names += read
        level = 2
    # Damage to what all backups share leaves each of them unproven.
    if not any(each.code == Code.INTEGRITY and not LABEL.search(each.what) for each in names):
        round_.reach(ours.values(), level)


def _take_down(
    round_: Round, level: int, findings: Iterable[Finding], ours: dict[str, Entry], backups: Iterable[Backup]
) -> None:
    known = [*backups]
    for finding in findings:
        labels = blamed(finding.what, known)
        round_.find(level, finding, [ours[label].manifest.run_id for label in sorted(labels) if label in ours])


def blamed(what: str, backups: Iterable[Backup]) -> set[str]:
    """Return the labels of the backups that a finding spoils: those that it names, and those that lean on them."""
    spoilt = set(LABEL.findall(what))
    known = [*backups]
    while more := {each.label for each in known if each.prior in spoilt and each.label not in spoilt}:
        spoilt |= more
    return spoilt


def _unattested(round_: Round, backups: Iterable[Backup], ours: dict[str, Entry]) -> list[Finding]:
    """Return the backups that no signed set stands for, though a run should have attested them by now."""
    bound = WAIT + timedelta(seconds=round_.context.config.bounds.job_seconds)
    late = round_.now.timestamp() - bound.total_seconds()
    hint = "pasargad-ops backup physical attests it; if nobody here made it, somebody wrote into the repository"
    return [
        Finding(Code.CHAIN, f"no signed set stands for backup {each.label}", hint)
        for each in backups
        if each.label not in ours and each.stopped < late
    ]


def _measure(round_: Round, findings: Sequence[Finding]) -> None:
    missing = sum(finding.segments for finding in findings)
    # What a backup lacks that leads nowhere is no segment on the way to the newest, and missing all the same.
    lost = any(finding.code == Code.WAL_GAP for finding in findings)
    round_.measure(*WAL_GAP, missing or float(lost))
    try:
        known = round_.context.repository.windows()
    except BackupError as error:
        if error.code != Code.INTEGRITY:
            raise
        # A damaged history has been found by its name already.
        return
    if known.windows:
        round_.measure(*OLDEST_RESTORABLE, known.windows[-1].since, job=JOB)


def _compare_sums(round_: Round, entries: Iterable[Entry]) -> None:
    """Read the backups' lists of files, which hold the sums of all others, against what was signed."""
    objects = round_.context.objects
    for entry in entries:
        for part in entry.manifest.objects:
            if part.role not in SUMMED or not part.sha256:
                continue
            try:
                for _ in objects.read(part.key, version=part.version, sha256=part.sha256):
                    pass
            except BackupError as error:
                finding = Finding(error.code, f"set {entry.seq}: {error.message}", error.hint or HINT)
                round_.find(1, finding, [entry.manifest.run_id])
