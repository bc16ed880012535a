"""The register names every field of every model, and says of each what export, erasure and retention do."""

from __future__ import annotations

import tomllib

import pytest
from django.apps import apps
from django.db.models import CASCADE, SET_NULL

from pasargad.accounts.models import User
from pasargad.orders.models import Order
from pasargad.privacy.register import ERASURES, FILE, register

MODELS = {model._meta.label: model for model in apps.get_models(include_auto_created=True)}


def test_every_model_is_in_the_register_and_nothing_else():
    missing, gone = MODELS.keys() - register().keys(), register().keys() - MODELS.keys()
    assert not missing, f"say in {FILE.name} what these hold of people: {sorted(missing)}"
    assert not gone, f"these are no models any more: {sorted(gone)}"


@pytest.mark.parametrize("label", sorted(MODELS))
def test_every_field_is_classified_once(label):
    said = register()[label].fields
    fields = {field.name for field in MODELS[label]._meta.concrete_fields}
    assert fields - set(said) == set(), f"say in {FILE.name} whether these fields of {label} are personal"
    assert set(said) - fields == set(), f"{label} has no such fields any more"
    assert len(said) == len(set(said)), f"a field of {label} is classified twice"


def test_a_field_that_is_not_classified_is_noticed(monkeypatch):
    """The guard itself: a new field is seen by the same comparison."""
    from django.db import models

    field = models.CharField(max_length=10, default="")
    field.set_attributes_from_name("passport")
    options = Order._meta
    monkeypatch.setattr(options, "local_fields", [*options.local_fields, field])
    options._expire_cache()
    try:
        with pytest.raises(AssertionError, match="passport"):
            test_every_field_is_classified_once("orders.Order")
    finally:
        monkeypatch.undo()
        options._expire_cache()


@pytest.mark.parametrize("label", sorted(MODELS))
def test_what_is_personal_is_erased_or_says_why_not(label):
    entry = register()[label]
    if not (entry.personal or entry.secret):
        return
    assert entry.erase in ERASURES, f"say what erasure does to {label}"
    assert entry.erase != "keep" or entry.why, f"say why {label} is kept"
    if entry.erase == "anonymise":
        fields = {field.name for field in MODELS[label]._meta.concrete_fields}
        assert entry.blank.keys() <= fields and entry.blank
    else:
        assert not entry.blank


def test_foreign_keys_to_people_are_known_to_belong_to_them():
    """A new model with an account in it cannot be forgotten by calling all of its fields no person's."""
    for label, model in MODELS.items():
        for field in model._meta.concrete_fields:
            if field.related_model is User:
                assert register()[label].whose, f"{label}.{field.name} is a person; say whose its rows are"
            elif field.related_model is Order:
                assert register()[label].whose, f"{label}.{field.name} is a person's order; say whose its rows are"


def test_what_goes_with_the_account_really_does():
    for label, entry in register().items():
        if entry.erase != "account" or label == "accounts.User":
            continue
        kind, _separator, path = entry.whose.partition(":")
        assert kind == "user", label
        model = MODELS[label]
        for step in path.split("__"):
            field = model._meta.get_field(step)
            assert field.remote_field.on_delete is CASCADE, f"{label}: deleting the account does not delete it"
            model = field.related_model
        assert model is User, label


def test_accounts_can_be_deleted_beside_what_is_kept():
    for label, model in MODELS.items():
        for field in model._meta.concrete_fields:
            if field.related_model is User and field.remote_field.on_delete not in (CASCADE, SET_NULL):
                assert register()[label].blank.get(field.name) == "@nobody", f"{label}.{field.name}"


def test_the_file_says_nothing_that_is_not_read():
    known = {"whose", "personal", "secret", "other", "erase", "kept", "why", "blank"}
    for label, said in tomllib.loads(FILE.read_text()).items():
        assert said.keys() <= known, label
