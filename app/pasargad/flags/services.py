"""Switching flags, with a history of who did it."""

from __future__ import annotations

from django.db import transaction

from . import store
from .declared import NotForEverybody, flag_named
from .models import FlagChange, FlagRule
from .rules import Rule


def rule_of(row: FlagRule) -> Rule:
    return Rule(row.is_on, row.percentage, row.for_staff, row.starts_at, row.ends_at)


def flag_set(name: str, rule: Rule, *, actor: str) -> FlagRule:
    """Give a flag a rule; every process follows within a second of the commit. Raises NotDeclared, NotForEverybody."""
    require_possible(name, rule)
    with transaction.atomic():
        row = FlagRule.objects.select_for_update().filter(name=name).first() or FlagRule(name=name)
        before = rule_of(row) if row.pk else None
        for field, value in vars(rule).items():
            setattr(row, field, value)
        row.save()
        if before != rule:
            _note(name, before, rule, actor)
    return row


def flag_reset(name: str, *, actor: str) -> None:
    """Give a flag its default back."""
    with transaction.atomic():
        row = FlagRule.objects.select_for_update().filter(name=name).first()
        if row is not None:
            before = rule_of(row)
            row.delete()
            _note(name, before, None, actor)


def require_possible(name: str, rule: Rule) -> None:
    """Refuse a rule that a flag cannot have; raises NotDeclared or NotForEverybody."""
    if rule.is_personal and not flag_named(name).personal:
        raise NotForEverybody(
            f"The flag {name} is the same for everybody, because pages that caches keep depend on it: "
            "it has no percentage and no staff of its own."
        )


def _note(name: str, before: Rule | None, after: Rule | None, actor: str) -> None:
    FlagChange.objects.create(
        name=name,
        actor=actor[:100],
        before=before.as_json() if before else None,
        after=after.as_json() if after else None,
    )
    transaction.on_commit(store.announce)
