"""The log is only added to, and whoever takes a row out or changes one leaves a trace."""

from __future__ import annotations

import re
import threading
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from testing.money import together

from pasargad.audit.acting import Actor, acting
from pasargad.audit.models import Entry, Link
from pasargad.audit.selectors import Head, chain_head, chain_holds, chain_problems
from pasargad.audit.services import audit_record
from pasargad.audit.tasks import chain_verify

BOSS = Actor(7, "boss@example.org", "192.0.2.7")
LOCK = "PERFORM pg_advisory_xact_lock(4715023811);"


def write(count: int = 1) -> None:
    for number in range(count):
        with transaction.atomic():
            audit_record("changed", target_type="catalog.product", changes={"price": [number, number + 1]}, actor=BOSS)


def as_superuser(*statements: str) -> None:
    """What a person with all rights over the database can do: past every trigger and foreign key."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for statement in statements:
            cursor.execute(statement)


def verify(*arguments: str) -> tuple[int, str, str]:
    out, errors = StringIO(), StringIO()
    try:
        call_command("verify_audit", *arguments, stdout=out, stderr=errors)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue(), errors.getvalue()
    return 0, out.getvalue(), errors.getvalue()


@pytest.mark.django_db(transaction=True)
def test_every_entry_gets_its_link_when_it_is_committed():
    with acting(BOSS), transaction.atomic():
        audit_record("changed")
        audit_record("changed")
        assert not Link.objects.exists(), "nobody waits for the chain before the commit"
    write()
    links = list(Link.objects.order_by("position"))
    assert [link.position for link in links] == [1, 2, 3] and bytes(links[0].previous) == bytes(32)
    assert [bytes(link.previous) for link in links[1:]] == [bytes(link.digest) for link in links[:-1]]
    assert chain_problems() == [] and verify()[0] == 0 and verify()[1].strip() == str(chain_head())
    assert chain_verify.call() == 0


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_leaves_no_entry_and_no_gap():
    write()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        audit_record("changed")
        raise ZeroDivisionError
    write()
    assert Entry.objects.count() == Link.objects.count() == 2 and chain_problems() == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("table", ["audit_entry", "audit_link"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET {}", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_the_database_refuses_to_change_what_is_written(table, statement):
    write(2)
    values = {"audit_entry": "actor = 'nobody'", "audit_link": "digest = previous"}[table]
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement.format(table, values))
    assert Entry.objects.count() == 2 and chain_problems() == []


@pytest.mark.django_db(transaction=True)
def test_nobody_dates_an_entry_or_places_a_link():
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO audit_entry (at, actor, address, action, target_type, target_id, target, changes, request_id) "
            "VALUES ('2001-01-01', 'x', '', 'x', '', '', '', '{}', '')"
        )
    assert Entry.objects.get().at.year > 2001
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("INSERT INTO audit_link VALUES (77, 'x', 'y', %s)", [Entry.objects.get().pk])
    assert chain_problems() == []


DAMAGES = {
    "UPDATE audit_entry SET actor = 'nobody' WHERE id = (SELECT entry_id FROM audit_link WHERE position = 2)": "link 2",
    "UPDATE audit_entry SET at = at + interval '1 microsecond' WHERE id = (SELECT max(id) FROM audit_entry)": "link 4",
    "UPDATE audit_entry SET changes = '{}' WHERE id = (SELECT min(id) FROM audit_entry)": "link 1",
    "DELETE FROM audit_entry WHERE id = (SELECT entry_id FROM audit_link WHERE position = 3)": "its entry is gone",
    "DELETE FROM audit_link WHERE position = 2": "links are missing before this one",
    "DELETE FROM audit_link WHERE position = 1": "links are missing before this one",
    "UPDATE audit_link SET digest = previous WHERE position = 2": "does not follow",
    "INSERT INTO audit_entry (at, actor, address, action, target_type, target_id, target, changes, request_id) "
    "VALUES (now(), 'x', '', 'x', '', '', '', '{}', '')": "is in no link",
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("damage", DAMAGES)
def test_whatever_a_superuser_changes_is_found(damage):
    write(4)
    as_superuser(damage)
    assert chain_problems(slice_size=2) == chain_problems(), "wherever a slice ends"
    code, _, errors = verify()
    assert code == 1 and DAMAGES[damage] in errors
    assert chain_verify.call() > 0


@pytest.mark.django_db(transaction=True)
def test_rows_taken_off_the_end_are_found_by_a_head_of_earlier():
    write(3)
    earlier = chain_head()
    as_superuser(
        "DELETE FROM audit_entry WHERE id = (SELECT max(id) FROM audit_entry)",
        "DELETE FROM audit_link WHERE position = 3",
    )
    assert verify()[0] == 0, "nothing inside the database can tell"
    assert not chain_holds(earlier) and verify("--expect", str(earlier))[0] == 1
    write()
    assert verify("--expect", str(earlier))[0] == 1
    assert verify("--expect", str(chain_head()), "--expect", f"0:{'0' * 64}")[0] == 0
    assert chain_holds(Head(0, "0" * 64))
    with pytest.raises(CommandError):
        verify("--expect", "nonsense")


@pytest.mark.django_db(transaction=True)
def test_a_guard_that_was_switched_off_is_told():
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_entry DISABLE TRIGGER audit_entry_append_only")
        try:
            assert "audit_entry_append_only" in verify()[2]
        finally:
            cursor.execute("ALTER TABLE audit_entry ENABLE TRIGGER audit_entry_append_only")


@pytest.mark.django_db(transaction=True)
def test_writers_at_the_same_moment_keep_one_chain():
    assert together(lambda: write(15), count=6) == []
    assert Link.objects.count() == 90 and chain_problems() == []


@pytest.mark.django_db(transaction=True)
def test_without_the_lock_the_same_writers_fork_the_chain():
    """The control of the test above."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_functiondef('audit_link_place'::regproc)")
        good = cursor.fetchone()[0]
        assert LOCK in good
        # Without the place's uniqueness too, which would refuse the second of two.
        cursor.execute(good.replace(LOCK, "").replace("NEW.position :=", "PERFORM pg_sleep(0.01); NEW.position :="))
        cursor.execute("ALTER TABLE audit_link DROP CONSTRAINT audit_link_pkey")
        try:
            assert together(lambda: write(5), count=6) == []
            places = list(Link.objects.values_list("position", flat=True))
            assert len(places) == 30 and len(set(places)) < 30 and chain_problems() != []
        finally:
            as_superuser("TRUNCATE audit_link, audit_entry")
            cursor.execute("ALTER TABLE audit_link ADD CONSTRAINT audit_link_pkey PRIMARY KEY (position)")
            cursor.execute(good)


@pytest.mark.django_db(transaction=True)
def test_an_act_that_takes_long_holds_up_neither_other_acts_nor_the_shop():
    from testing.factories import make_variant

    from pasargad.catalog.models import StockMovement
    from pasargad.catalog.stock import stock_move

    variant = make_variant()
    began, end, failures = threading.Event(), threading.Event(), []

    def slow() -> None:
        try:
            with transaction.atomic():
                audit_record("changed", actor=BOSS)
                began.set()
                end.wait(10)
        finally:
            connection.close()

    thread = threading.Thread(target=slow)
    thread.start()
    try:
        assert began.wait(10)
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '200ms'")
            write()
            stock_move(variant.pk, 1, kind=StockMovement.Kind.RECEIVED)
            cursor.execute("RESET lock_timeout")
    finally:
        end.set()
        thread.join(10)
    assert failures == [] and Entry.objects.count() == 2 and chain_problems() == []


@pytest.mark.django_db(transaction=True)
def test_heads_are_written_as_the_command_reads_them():
    write()
    assert re.fullmatch(r"1:[0-9a-f]{64}", verify()[1].strip())
