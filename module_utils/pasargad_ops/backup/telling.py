"""Tell how a job ended, in every way there is: journal, metrics, the history on this host, and notices to people."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..files import append_line, keep_last_lines, read_json, read_lines, write_atomically, write_json
from ..masking import mask
from ..metrics import render
from .errors import BackupError, Code
from .notices import FAILURE, SUCCESS, Notice, notice_put

HISTORY_BYTES, HISTORY_LINES = 1 << 20, 1000


@dataclass(frozen=True)
class Sample:
    """A value for Prometheus; a job's samples stay in its file until the same job measures them again."""

    name: str
    words: str
    value: float
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ending:
    """How one run of a job ended; `lines` are for people, `seconds` the wall time, `hint` the next command."""

    job: str
    slot: str
    code: Code
    summary: str
    seconds: float
    hint: str = ""
    lines: tuple[str, ...] = ()
    samples: tuple[Sample, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)
    peak_rss_bytes: int = 0
    bytes: int = 0
    changed: bool = False
    head: str = ""


@dataclass(frozen=True)
class Places:
    """Where this host keeps what it tells."""

    state_dir: Path
    metrics_dir: Path
    outbox: Path

    @property
    def history(self) -> Path:
        return self.state_dir / "history.jsonl"

    def job(self, name: str) -> Path:
        return self.state_dir / "jobs" / f"{name}.json"


def tell(places: Places, ending: Ending, *, now: float | None = None) -> list[str]:
    """Write down an ending everywhere; return what could not be told, which never changes how the job ended."""
    moment = time.time() if now is None else now
    troubles: list[str] = []
    for act in (_journal, _remember, _measure, _notify):
        try:
            act(places, ending, moment)
        except Exception as error:
            words = error.message if isinstance(error, BackupError) else f"{type(error).__name__}: {error}"
            troubles.append(mask(f"{act.__name__.lstrip('_')}: {words}"))
    return troubles


def _record(ending: Ending, moment: float) -> dict[str, Any]:
    return {
        "at": moment,
        "job": ending.job,
        "slot": ending.slot,
        "code": int(ending.code),
        "summary": mask(ending.summary),
        "seconds": round(ending.seconds, 3),
        "bytes": ending.bytes,
        "peak_rss_bytes": ending.peak_rss_bytes,
        "head": ending.head,
        **({"hint": ending.hint} if ending.hint else {}),
    }


def _journal(places: Places, ending: Ending, moment: float) -> None:
    # One line for the journal of systemd; what people read goes to stdout.
    print(json.dumps({"pasargad_backup": _record(ending, moment)}, sort_keys=True), file=sys.stderr, flush=True)


def _remember(places: Places, ending: Ending, moment: float) -> None:
    places.state_dir.mkdir(parents=True, exist_ok=True, mode=0o750)
    keep_last_lines(places.history, limit_bytes=HISTORY_BYTES, lines=HISTORY_LINES)
    append_line(places.history, _record(ending, moment))


def _measure(places: Places, ending: Ending, moment: float) -> None:
    path = places.job(ending.job)
    about = _about(path)
    about["attempt"], about["code"], about["seconds"] = moment, int(ending.code), ending.seconds
    if ending.code == Code.DONE:
        about["success"] = moment
        about["peak_rss_bytes"] = ending.peak_rss_bytes
        if ending.bytes:
            about["bytes"] = ending.bytes
    kept = {(each["name"], json.dumps(each["labels"], sort_keys=True)): each for each in about.get("samples", [])}
    for sample in ending.samples:
        labels = json.dumps(sample.labels, sort_keys=True)
        kept[sample.name, labels] = {
            "name": sample.name,
            "words": sample.words,
            "value": float(sample.value),
            "labels": sample.labels,
        }
    about["samples"] = list(kept.values())
    try:
        write_json(path, about)
    finally:
        # A full disk below one of the two must not silence the other.
        text = exposition(ending.job, about)
        write_atomically(places.metrics_dir / f"backup_{ending.job}.prom", text.encode(), mode=0o644)


def _about(path: Path) -> dict[str, Any]:
    try:
        about = dict(read_json(path) or {})
        for sample in about.get("samples", []):
            Sample(sample["name"], sample["words"], float(sample["value"]), dict(sample["labels"]))
        for key, _, _ in COMMON:
            float(about.get(key, 0))
    except (ValueError, TypeError, KeyError, OSError):
        # What a crash or a hand has damaged is measured anew.
        return {}
    return about


COMMON = (
    ("attempt", "pasargad_backup_last_attempt_timestamp_seconds", "When the job last ran."),
    ("success", "pasargad_backup_last_success_timestamp_seconds", "When the job last ended well."),
    ("code", "pasargad_backup_last_exit_code", "How the job last ended; 0 is well, 11 is done by another run."),
    ("seconds", "pasargad_backup_last_duration_seconds", "How long the job took."),
    ("bytes", "pasargad_backup_last_size_bytes", "What the last set takes in the storage."),
    ("peak_rss_bytes", "pasargad_backup_last_peak_rss_bytes", "The most memory of the job and its programs."),
)


def exposition(job: str, about: dict[str, Any]) -> str:
    """Return a job's metrics in Prometheus' text format."""
    text = "".join(render(name, words, [({"job": job}, about[key])]) for key, name, words in COMMON if key in about)
    grouped: dict[str, tuple[str, list[tuple[dict[str, str], float]]]] = {}
    for sample in about.get("samples", []):
        grouped.setdefault(sample["name"], (sample["words"], []))[1].append((sample["labels"], sample["value"]))
    return text + "".join(render(name, words, values) for name, (words, values) in sorted(grouped.items()))


def _notify(places: Places, ending: Ending, moment: float) -> None:
    if ending.code == Code.CLAIMED:
        return
    good = ending.code == Code.DONE
    lines = [*ending.lines]
    if ending.head:
        lines.append(f"Head of the chain: {ending.head}")
    if ending.hint and not good:
        lines.append(f"Next: {ending.hint}")
    title = ending.summary if good else f"{ending.job} failed: {ending.summary}"
    notice = Notice(
        SUCCESS if good else FAILURE,
        ending.job,
        ending.slot,
        int(ending.code),
        title,
        tuple(lines),
        urgent=not good or ending.job == "restore",
    )
    notice_put(places.outbox, notice, now=moment)


def last_endings(places: Places, jobs: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return how each job last ended on this host; jobs that never ran are absent.

    A run that left the work to another one (CLAIMED) tells nothing when there is an ending that does.
    """
    found: dict[str, dict[str, Any]] = {}
    for line in read_lines(places.history):
        job = str(line.get("job")) if isinstance(line, dict) else ""
        if job in jobs and (line.get("code") != Code.CLAIMED or job not in found):
            found[job] = line
    return found
