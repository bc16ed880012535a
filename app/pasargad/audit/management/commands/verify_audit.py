import re
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from pasargad.audit.selectors import Head, chain_head, chain_holds, chain_problems


class Command(BaseCommand):
    help = "Ask whether the audit log has a gap or a change, and print its head; exit 1: it has"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--expect",
            action="append",
            default=[],
            metavar="HEAD",
            help="a head that was printed earlier, from the journal for example: rows taken off the end show so",
        )

    def handle(self, *, expect: list[str], **options: Any) -> None:
        known = [_head(text) for text in expect]
        problems = chain_problems()
        problems += [f"the head {head} of earlier is not in the log" for head in known if not chain_holds(head)]
        for problem in problems:
            self.stderr.write(problem)
        self.stdout.write(str(chain_head()))
        if problems:
            sys.exit(1)


def _head(text: str) -> Head:
    found = re.fullmatch(r"([0-9]{1,18}):([0-9a-f]{64})", text)
    if not found:
        raise CommandError(f"{text} is no head: write it as this command printed it.")
    return Head(int(found[1]), found[2])
