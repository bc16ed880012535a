"""Which migrations the code that is live survives."""

from __future__ import annotations

import os
from typing import Any

import django
import pytest
from django.contrib.postgres.operations import AddConstraintNotValid, AddIndexConcurrently, TrigramExtension
from django.db import migrations, models
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState, ProjectState

from pasargad_build.migrations import classify

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.build")
django.setup()

text = models.CharField


class Unknown(Operation):
    """An operation that somebody else wrote."""

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Change nothing."""


def state() -> ProjectState:
    """The shop before the migration: one model."""
    fields: list[tuple[str, models.Field[Any, Any]]] = [
        ("id", models.BigAutoField(primary_key=True)),
        ("name", text(max_length=50)),
        ("note", text(max_length=50, null=True)),
        ("code", text(max_length=9, unique=True)),
    ]
    project = ProjectState()
    project.add_model(ModelState("goods", "Good", fields))
    return project


ADD_MODEL = migrations.CreateModel("Maker", [("id", models.BigAutoField(primary_key=True))])
CHECK = models.CheckConstraint(condition=models.Q(id__gt=0), name="positive")
EXPAND = [
    [ADD_MODEL],
    [ADD_MODEL, migrations.AddConstraint("Maker", CHECK)],
    [ADD_MODEL, migrations.AddField("Maker", "name", text(max_length=9))],
    [migrations.AddField("Good", "maker", models.ForeignKey("goods.Good", models.CASCADE, null=True))],
    [migrations.AddField("Good", "size", models.IntegerField(db_default=0))],
    [migrations.AddField("Good", "friends", models.ManyToManyField("goods.Good"))],
    [migrations.AddIndex("Good", models.Index(fields=["name"], name="by_name"))],
    [AddIndexConcurrently("Good", models.Index(fields=["name"], name="by_name"))],
    [migrations.AlterField("Good", "name", text(max_length=80))],
    [migrations.AlterField("Good", "name", text(max_length=50, null=True))],
    [migrations.AlterField("Good", "name", text(max_length=50, help_text="words", choices=[("a", "b")]))],
    [migrations.AlterField("Good", "code", text(max_length=9))],
    [migrations.AlterModelOptions("Good", {"ordering": ["name"]})],
    [migrations.SeparateDatabaseAndState(state_operations=[migrations.RemoveField("Good", "note")])],
    [TrigramExtension()],
]
CONTRACT = [
    [migrations.RemoveField("Good", "note")],
    [migrations.DeleteModel("Good")],
    [migrations.RenameField("Good", "note", "remark")],
    [migrations.RenameModel("Good", "Thing")],
    [migrations.AlterModelTable("Good", "things")],
    [migrations.AddField("Good", "size", models.IntegerField(default=0))],
    [migrations.AddConstraint("Good", CHECK)],
    [AddConstraintNotValid("Good", CHECK)],
    [migrations.AlterField("Good", "name", text(max_length=20))],
    [migrations.AlterField("Good", "name", text(max_length=50, unique=True))],
    [migrations.AlterField("Good", "note", text(max_length=50))],
    [migrations.AlterField("Good", "name", models.TextField())],
    [migrations.AlterUniqueTogether("Good", {("name", "note")})],
    [migrations.RunSQL("SELECT 1")],
    [migrations.RunPython(migrations.RunPython.noop)],
    [ADD_MODEL, migrations.RunPython(migrations.RunPython.noop)],
    [migrations.SeparateDatabaseAndState(database_operations=[migrations.RemoveField("Good", "note")])],
    [Unknown()],
]


def title(operations: list[Operation]) -> str:
    """Name a case by its last operation."""
    return str(operations[-1].describe())


@pytest.mark.parametrize("operations", EXPAND, ids=title)
def test_expand(operations: list[Operation]) -> None:
    assert classify(operations, state(), "goods") == []


@pytest.mark.parametrize("operations", CONTRACT, ids=title)
def test_contract_with_a_reason(operations: list[Operation]) -> None:
    assert classify(operations, state(), "goods")


def test_reasons_name_model_and_field() -> None:
    [reason] = classify([migrations.AlterField("Good", "note", text(max_length=50))], state(), "goods")
    assert "goods.good.note" in reason
    assert "null" in reason
