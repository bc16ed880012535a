"""The proof of idempotence can fail: it sees changes, restarts, and predictions that were wrong."""

from __future__ import annotations

import json

from tests.idempotence.plays import Changed, Marks, changes, differing, restarted
from tests.idempotence.run import compare


def event(name: str, task: str, **results: object) -> str:
    return json.dumps({"_event": name, "task": {"name": task}, "hosts": results})


def test_changes_are_read_in_their_order_and_warnings_are_passed_over() -> None:
    output = "\n".join(
        [
            "[WARNING]: something",
            event("v2_runner_on_ok", "redis : b", store1={"changed": True}),
            event("v2_runner_on_ok", "redis : a", store1={"changed": True}, web1={"changed": False}),
            event("v2_runner_on_skipped", "redis : c", store1={"changed": True}),
            "{not ours",
        ]
    )
    assert changes(output) == [Changed("store1", "redis : b"), Changed("store1", "redis : a")]


def test_a_new_run_of_a_service_is_a_restart_and_a_new_service_is_none() -> None:
    before: Marks = {"nginx.service": ("one", "10"), "redis.service": ("two", "20")}
    after: Marks = {
        "nginx.service": ("one", "10", "11:5"),
        "redis.service": ("two", "20"),
        "job.service": ("three", "30"),
    }
    assert restarted(before, after) == ["nginx.service"]
    assert restarted(before, {"nginx.service": ("one", "10")}) == ["redis.service"]
    assert differing(before, after) == ["job.service", "nginx.service"]


def test_wrong_predictions_and_touched_files_are_counted() -> None:
    both, only_check, only_run = (Changed("store1", name) for name in ("both", "check", "run"))
    assert compare([both], [both], [])["check_mode_mismatches"] == 0
    figures = compare([both, only_check], [both, only_run], ["/etc/passwd"])
    assert figures["check_mode_mismatches"] == 3
    assert figures["only_foretold"] == ["store1: check"]
    assert figures["only_done"] == ["store1: run"]
