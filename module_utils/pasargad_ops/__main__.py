"""The command line of the operations: `pasargad-ops VERB`; timers and units call the same verbs."""

from __future__ import annotations

import argparse
import json
import os
import pwd
import sys
from enum import IntEnum
from pathlib import Path

from . import boot, go_back_in_time, rollback, status
from .config import CONFIG_FILE, SLOTS, ReleaseConfig
from .lease import Owner, living_processes, owner_process
from .lock import held
from .manage import manage
from .outcome import OperationError, Outcome, Refused
from .state import load_state
from .switch import reconcile


class ExitCode(IntEnum):
    """How a verb ended."""

    DONE = 0
    FAILED = 1
    REFUSED = 3


def local_owner() -> Owner:
    """Say who calls on this very host."""
    return owner_process(os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name, os.getpid())


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="pasargad-ops", description="Look after the shop on this host.")
    parser.add_argument("--config", type=Path, default=CONFIG_FILE)
    verbs = parser.add_subparsers(dest="verb", required=True)
    shown = verbs.add_parser("status", help="what serves, who deployed it, what going back would cost")
    shown.add_argument("--json", action="store_true")
    back = verbs.add_parser("rollback", help="give traffic back to the release before")
    back.add_argument("--dry-run", action="store_true")
    verbs.add_parser("repair", help="bring live.sock and the state together")
    broken = verbs.add_parser("break-lock", help="take the host from a deploy that has died")
    broken.add_argument("deploy")
    turned = verbs.add_parser("restore-point", help="put the database back to before a deploy's migrations")
    turned.add_argument("dump", type=Path)
    turned.add_argument("--yes", action="store_true", help="do it; without this only the plan is shown")
    verbs.add_parser("backup", help="back up the database, prove it, restore it", add_help=False)
    managed = verbs.add_parser("manage", help="run a management command of the release that serves")
    managed.add_argument("arguments", nargs=argparse.REMAINDER)
    executed = verbs.add_parser("exec", help="become a slot's process (called by its unit)")
    executed.add_argument("role", choices=("web", "worker"))
    executed.add_argument("slot", choices=SLOTS)
    verbs.add_parser("live", help="bring the shop back after a boot (called by a unit)")
    reverted = verbs.add_parser("revert", help="put an unconfirmed switch back (called by a timer)")
    reverted.add_argument("--deploy", required=True)
    reverted.add_argument("--deadline", type=float, required=True)
    retired = verbs.add_parser("retire", help="stop a slot after its rollback window (called by a timer)")
    retired.add_argument("--slot", choices=SLOTS, required=True)
    retired.add_argument("--deploy", required=True)
    return parser.parse_args(arguments)


def act(options: argparse.Namespace) -> Outcome:
    """Run the verb."""
    config = ReleaseConfig.load(options.config)
    if options.verb == "status":
        found = status.gather(config)
        return Outcome(False, json.dumps(found) if options.json else status.describe(found))
    if options.verb == "rollback":
        request = rollback.RollbackRequest(local_owner(), living_processes())
        return rollback.roll_back(config, request, dry_run=options.dry_run)
    if options.verb == "repair":
        with held(config.lock_file, doing="repair"):
            state = reconcile(config)
        return Outcome(True, f"live.sock names {state.active}")
    if options.verb == "break-lock":
        return rollback.break_lock(config, options.deploy)
    if options.verb == "restore-point":
        return go_back_in_time.restore(config, options.dump, local_owner(), living=living_processes(), yes=options.yes)
    if options.verb == "manage":
        state = load_state(config)
        content = state.content(state.active)
        if content is None:
            raise Refused("no release serves yet", hint="run deploy.yml")
        stdin = (
            None
            if sys.stdin.isatty() or not options.arguments or options.arguments[0] != "ensure_admin"
            else sys.stdin.read()
        )
        done = manage(config, content.release, content.env, options.arguments, stdin=stdin, timeout=3600)
        sys.stderr.write(done.stderr)
        return Outcome(True, done.stdout.rstrip("\n"))
    if options.verb == "exec":
        boot.execute(config, options.role, options.slot)
    if options.verb == "live":
        return boot.bring_back(config)
    if options.verb == "revert":
        return boot.revert_unconfirmed(config, options.deploy, options.deadline)
    return boot.retire(config, options.slot, options.deploy)


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["backup"]:
        # Database hosts serve no release: they have these verbs alone, with a config file of their own.
        from .backup import cli

        return cli.main(arguments[1:])
    try:
        outcome = act(parse(arguments))
    except OperationError as error:
        print(f"pasargad-ops: {error.message}", file=sys.stderr)
        for line in error.details.get("log", [])[-10:]:
            print(f"  {line}", file=sys.stderr)
        if error.hint:
            print(f"next: {error.hint}", file=sys.stderr)
        return ExitCode.REFUSED if isinstance(error, Refused) else ExitCode.FAILED
    except PermissionError as error:
        print(f"pasargad-ops: {error.filename}: {error.strerror}", file=sys.stderr)
        print("next: run it as root: sudo pasargad-ops …", file=sys.stderr)
        return ExitCode.FAILED
    if outcome.summary:
        print(outcome.summary)
    return ExitCode.DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
