"""The command line of the backups, `pasargad-ops backup VERB`: what timers fire and what people type."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from ..outcome import OperationError, Outcome
from .config import CONFIG_FILE
from .context import Context, open_context
from .errors import BackupError, Code

Act = Callable[[Context, argparse.Namespace], Outcome]


def moment(text: str) -> datetime:
    """Read a point in time; without a time zone it would mean another one on another host."""
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write 2026-11-28T03:00:00+00:00") from None
    if found.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} has no time zone; write {text}+00:00 for UTC")
    return found.astimezone(UTC)


def _logical(context: Context, options: argparse.Namespace) -> Outcome:
    from .logical import LogicalRequest, backup_logical

    return backup_logical(context, LogicalRequest(slot=options.slot), dry_run=options.dry_run)


def _physical(context: Context, options: argparse.Namespace) -> Outcome:
    from .physical import PhysicalRequest, backup_physical

    return backup_physical(context, PhysicalRequest(kind=options.kind, slot=options.slot), dry_run=options.dry_run)


def _verify(context: Context, options: argparse.Namespace) -> Outcome:
    from .verify import VerifyRequest, verify

    return verify(context, VerifyRequest(level=options.level, share=options.share), dry_run=options.dry_run)


def _drill(context: Context, options: argparse.Namespace) -> Outcome:
    from .drill import DrillRequest, drill

    request = DrillRequest(
        kind=options.kind, at=options.at, seq=options.seq, identity=options.identity, seed=options.seed
    )
    return drill(context, request, dry_run=options.dry_run)


def _restore(context: Context, options: argparse.Namespace) -> Outcome:
    from .restore import RestoreRequest, restore

    request = RestoreRequest(
        to=options.to,
        at=options.at,
        seq=options.seq,
        target="database" if options.database else "cluster",
        database=options.database,
        identity=options.identity,
        confirm=options.confirm,
        system_id=options.system_id,
    )
    return restore(context, request, dry_run=options.dry_run)


def _uploads(context: Context, options: argparse.Namespace) -> Outcome:
    from .uploads import UploadsRequest, bring_uploads

    request = UploadsRequest(seq=options.seq, identity=options.identity)
    return bring_uploads(context, request, dry_run=options.dry_run)


def _settle(context: Context, _: argparse.Namespace) -> Outcome:
    from .restore import settle_swap

    return settle_swap(context)


def _retain(context: Context, options: argparse.Namespace) -> Outcome:
    from .retain import RetainRequest, retain

    return retain(context, RetainRequest(force=options.force), dry_run=options.dry_run)


def _rescue(context: Context, options: argparse.Namespace) -> Outcome:
    from .rescue import RescueRequest, rescue

    return rescue(
        context, RescueRequest(at=options.at, apply=options.apply, lists=options.lists), dry_run=options.dry_run
    )


def _prepare(context: Context, options: argparse.Namespace) -> Outcome:
    from .prepare import prepare

    return prepare(context, dry_run=options.dry_run)


def _clusters(context: Context, _: argparse.Namespace) -> Outcome:
    from .clusters import clusters

    return clusters(context)


def _status(context: Context, _: argparse.Namespace) -> Outcome:
    from .status import status

    return status(context)


def _sets(context: Context, _: argparse.Namespace) -> Outcome:
    from .status import sets

    return sets(context)


def _heartbeat(context: Context, _: argparse.Namespace) -> Outcome:
    from .heartbeat import beat_once

    return beat_once(context)


def _notify(context: Context, _: argparse.Namespace) -> Outcome:
    from .notify import send_notices

    return send_notices(context)


def parser() -> argparse.ArgumentParser:
    """Return what the command line understands."""
    whole = argparse.ArgumentParser(
        prog="pasargad-ops backup", description="Back up the database, prove it, restore it."
    )
    whole.add_argument("--config", type=Path, default=CONFIG_FILE)
    whole.add_argument("--json", action="store_true", help="print the details as JSON")
    whole.add_argument("--dry-run", action="store_true", help="only say what would be done")
    verbs = whole.add_subparsers(dest="verb", required=True)

    def verb(name: str, act: Act, words: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=words, description=words)
        added.set_defaults(act=act)
        return added

    verb("prepare", _prepare, "make the repository of physical sets (called by the role)")
    verb("clusters", _clusters, "whose sets lie in the storage; for a host that was made anew")
    verb("status", _status, "what there is, how old, how proven, and what to do next")
    verb("sets", _sets, "every set that can be restored")
    made = verb("logical", _logical, "make a logical set: the database in shards, settings, media")
    made.add_argument("--slot", default="", help="the piece of work; today's date if none is given")
    made = verb("physical", _physical, "make a physical set with pgbackrest")
    made.add_argument("--kind", choices=("auto", "full", "diff", "incr"), default="auto")
    made.add_argument("--slot", default="", help="the piece of work; today's date if none is given")
    checked = verb("verify", _verify, "check what was made: 0 names and sizes, 1 chain and WAL, 2 every byte")
    checked.add_argument("--level", type=int, choices=(0, 1, 2), default=1)
    checked.add_argument("--share", default="", help="3/7: the third of seven parts of the logical sets; auto: by day")
    drilled = verb("drill", _drill, "restore into a cluster of its own, measure, and compare")
    drilled.add_argument("kind", choices=("physical", "logical", "canary"))
    drilled.add_argument("--at", type=moment, help="the point in time; chosen at random if none is given")
    drilled.add_argument("--seq", type=int, default=0, help="the number of a logical set; the newest if none is given")
    drilled.add_argument("--seed", type=int, help="choose as the drill did that named this seed")
    drilled.add_argument("--identity", type=Path, help="the key (age) that opens logical sets")
    restored = verb("restore", _restore, "plan a restore; with --confirm, do it")
    restored.add_argument("to", choices=("latest", "time", "set"))
    restored.add_argument("--at", type=moment)
    restored.add_argument("--seq", type=int, default=0)
    restored.add_argument(
        "--database", default="", help="restore a logical set into this new database beside the shop's"
    )
    restored.add_argument("--identity", type=Path)
    restored.add_argument("--system-id", default="", help="the cluster whose sets are restored, on a new host")
    restored.add_argument("--confirm", default="", help="the word that the plan names")
    uploaded = verb("uploads", _uploads, "bring the uploads of a logical set back to where there are none")
    uploaded.add_argument("--seq", type=int, default=0)
    uploaded.add_argument("--identity", type=Path)
    verb("settle", _settle, "finish or undo a restore that was cut off (called at boot)")
    retained = verb("retain", _retain, "take away sets that are no longer kept")
    retained.add_argument("--force", action="store_true", help="also when it is an unusual amount")
    rescued = verb("rescue", _rescue, "bring back what somebody hid or replaced in the bucket")
    rescued.add_argument("--at", type=moment, required=True, help="as it was at this time")
    rescued.add_argument("--lists", action="store_true", help="also what pgbackrest itself replaces")
    rescued.add_argument("--apply", action="store_true", help="do it; without this only the plan is shown")
    verb("heartbeat", _heartbeat, "write the row of this minute (called by a timer)")
    verb("notify", _notify, "send what is waiting for people (called by a timer)")
    return whole


def main(arguments: list[str]) -> int:
    """Run a verb; return its exit code."""
    options = parser().parse_args(arguments)
    try:
        outcome = options.act(open_context(options.config), options)
    except OperationError as error:
        return _explain(error, as_json=options.json)
    if options.json:
        print(json.dumps(outcome.details, sort_keys=True, default=str))
    else:
        print("\n".join([outcome.summary, *(f"  {line}" for line in outcome.details.get("lines", []))]))
    return int(outcome.details.get("code", 0))


def _explain(error: OperationError, *, as_json: bool) -> int:
    code = error.code if isinstance(error, BackupError) else Code.BROKEN
    if as_json:
        told = {**error.details, "code": int(code), "error": error.message, "hint": error.hint}
        print(json.dumps(told, sort_keys=True, default=str))
    print(f"pasargad-ops backup: {error.message} (code {int(code)})", file=sys.stderr)
    if error.hint:
        print(f"next: {error.hint}", file=sys.stderr)
    return int(code)
