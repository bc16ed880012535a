"""The management commands of the tiny release: its database is a file that lists the applied migrations."""

import json
import os
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
ABOUT = json.loads((HERE / "about.json").read_text())
DATABASE = Path(os.environ["TINY_DATABASE"])


def applied() -> list[str]:
    return list(json.loads(DATABASE.read_text())) if DATABASE.exists() else []


def main(command: str) -> int:
    if command == "showmigrations":
        for name in ABOUT["migrations"]:
            print(f"[{'X' if name in applied() else ' '}]  {name}")
    elif command == "migrate":
        # As Django does, it first looks what there is to do.
        names = applied()
        missing = [name for name in ABOUT["migrations"] if name not in names]
        time.sleep(ABOUT.get("migrate_seconds", 0))
        if ABOUT.get("migrate_error"):
            print(ABOUT["migrate_error"], file=sys.stderr)
            return 1
        with Path(os.environ["TINY_DATABASE"] + ".runs").open("a") as runs:
            runs.writelines(f"{name}\n" for name in missing)
        DATABASE.write_text(json.dumps(names + missing))
    elif command == "db_worker":
        # It ends with the tests, also when they were killed.
        while Path("/proc", os.environ["PASARGAD_TESTS_PID"]).exists():
            time.sleep(1)
    else:
        print(f"Unknown command: {command}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
