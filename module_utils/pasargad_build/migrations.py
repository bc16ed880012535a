"""Says for each migration whether the code that is live may go on running after it.

Run as a program inside the shop (`python migrations.py`, working directory app/), it prints the heads, the digest and
the phases of all migrations as one JSON object; it needs no database. A migration that knows better says so itself:
`pasargad_phase = "expand"`.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
from collections.abc import Iterable
from typing import Any

EXPAND, CONTRACT = "expand", "contract"

# What old code does not notice: new things beside the old ones, and rules taken away.
_HARMLESS = {
    *("CreateModel", "CreateExtension", "CreateCollation", "AddIndex", "AddIndexConcurrently", "RenameIndex"),
    *("RemoveIndex", "RemoveIndexConcurrently", "RemoveConstraint", "ValidateConstraint", "AlterModelOptions"),
    *("AlterModelManagers", "AlterModelTableComment"),
}
# What only Python sees of a field.
_PYTHON_ONLY = {
    *("verbose_name", "help_text", "choices", "validators", "default", "blank", "editable", "error_messages"),
    *("related_name", "related_query_name", "limit_choices_to", "upload_to", "storage", "auto_now", "auto_now_add"),
    *("serialize", "db_comment", "on_delete", "max_digits_hint"),
}


def classify(operations: Iterable[Any], state: Any, app: str) -> list[str]:
    """Return the reasons why a migration is a contract one; none: it is an expand one.

    `state` is Django's project state before the migration; it is moved on by each operation.
    """
    reasons: list[str] = []
    created: set[str] = set()
    for operation in operations:
        reasons += _reasons(operation, state, app, created)
        operation.state_forwards(app, state)
    return reasons


def _reasons(operation: Any, state: Any, app: str, created: set[str]) -> list[str]:
    kind = _kind(operation)
    model = str(getattr(operation, "model_name", None) or getattr(operation, "name", "")).lower()
    if kind == "CreateModel":
        created.add(model)
    if kind == "SeparateDatabaseAndState":
        inner = state.clone()
        return classify(operation.database_operations, inner, app)
    # Old code does not know a table that this very migration makes.
    if kind in _HARMLESS or (model in created and kind not in {"RunPython", "RunSQL"}):
        return []
    if kind == "AddField":
        return _added_field(operation.field, f"{app}.{model}.{operation.name}")
    if kind == "AlterField":
        old = state.models[app, model].fields[operation.name]
        return _altered_field(old, operation.field, f"{app}.{model}.{operation.name}")
    if kind in {"AlterUniqueTogether", "AlterIndexTogether"} and not getattr(operation, "option_value", True):
        return []
    return [f"{kind} {app}.{model}".rstrip(".")]


def _kind(operation: Any) -> str:
    names = [base.__name__ for base in type(operation).__mro__ if base.__module__.startswith("django.")]
    # A subclass written by somebody else may do anything; Django's own (TrigramExtension …) do what their base does.
    if not type(operation).__module__.startswith("django."):
        return type(operation).__name__
    return next((name for name in names if name in _HARMLESS), names[0])


def _added_field(field: Any, name: str) -> list[str]:
    from django.db.models import NOT_PROVIDED

    filled_by_database = (
        field.null or field.many_to_many or field.db_default is not NOT_PROVIDED or getattr(field, "generated", False)
    )
    return (
        []
        if filled_by_database
        else [f"AddField {name}: old code inserts rows without it (give it db_default or null)"]
    )


def _altered_field(old: Any, new: Any, name: str) -> list[str]:
    (_, old_path, old_args, old_options), (_, new_path, new_args, new_options) = old.deconstruct(), new.deconstruct()
    if old_path != new_path or old_args != new_args:
        return [f"AlterField {name}: {old_path.rpartition('.')[2]} becomes {new_path.rpartition('.')[2]}"]
    reasons = []
    for option in sorted({*old_options, *new_options} - _PYTHON_ONLY):
        before, after = old_options.get(option), new_options.get(option)
        if before != after and not _relaxes(option, before, after):
            reasons.append(f"AlterField {name}: {option} {before!r} becomes {after!r}")
    return reasons


def _relaxes(option: str, before: Any, after: Any) -> bool:
    if option in {"null"}:
        return bool(after)
    if option in {"unique", "primary_key"}:
        return not after and option == "unique"
    if option == "max_length":
        return after is None or (before is not None and after >= before)
    if option in {"db_index", "db_constraint"}:
        return option == "db_index" or not after
    return option == "db_default" and after is not None


def read() -> dict[str, Any]:
    """Return heads, digest and phases of every migration that the installed apps bring."""
    import django

    django.setup()
    from django.db.migrations.loader import MigrationLoader

    loader = MigrationLoader(None, ignore_no_migrations=True)
    heads = dict(sorted(loader.graph.leaf_nodes()))
    sources, phases = {}, []
    state = loader.project_state(nodes=[])
    for key in _in_order(loader):
        migration = loader.get_migration(*key)
        sources[".".join(key)] = hashlib.sha256(inspect.getsource(type(migration)).encode()).hexdigest()
        reasons = classify(migration.operations, state, migration.app_label)
        phase = getattr(migration, "pasargad_phase", CONTRACT if reasons else EXPAND)
        phases.append({"app": key[0], "name": key[1], "phase": phase, "why": reasons if phase == CONTRACT else []})
    text = json.dumps([heads, sources], sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return {
        "schema_fingerprint": {"heads": heads, "digest": digest},
        "migrations": phases,
        "django": django.get_version(),
    }


def _in_order(loader: Any) -> list[tuple[str, str]]:
    done: dict[tuple[str, str], None] = {}
    for leaf in sorted(loader.graph.leaf_nodes()):
        done.update(dict.fromkeys(loader.graph.forwards_plan(leaf)))
    return list(done)


if __name__ == "__main__":
    sys.path.insert(0, "")
    json.dump(read(), sys.stdout)
