"""The secrets of a shop are known; runs with -vvv and --diff, from the first one on, show them to nobody.

A whole deploy with the operator's own output is watched in test_idempotence.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.e2e.watching import Observed, Watched
from tests.environments import Environments

pytestmark = pytest.mark.lab


@pytest.mark.bare
def test_the_sentinel_sees_what_a_careless_play_shows(watched: Watched, tmp_path: Path) -> None:
    """The negative control: every way of leaking is taken once, and each is noticed."""
    token = "vault_pasargad_metrics_token"
    secret = f"{{{{ {token} }}}}"
    tasks = [
        {"name": "Show it", "ansible.builtin.debug": {"msg": f"token {secret}"}},
        {"name": "Give it as an argument", "ansible.builtin.command": {"argv": ["/bin/sh", "-c", "sleep 3", secret]}},
        {"name": "Log it", "ansible.builtin.command": {"argv": ["logger", f"token {secret}"]}},
        {
            "name": "Leave it for all to read",
            "ansible.builtin.copy": {"content": secret, "dest": "/etc/leak", "mode": "0644"},
        },
    ]
    book = tmp_path / "careless.yml"
    book.write_text(yaml.safe_dump([{"name": "Be careless", "hosts": "store", "gather_facts": False, "tasks": tasks}]))
    observed = watched.play(str(book))
    observed.run.require()
    assert watched.sentinel.find(observed.run.output) == {token}
    assert watched.sentinel.find(observed.log) == {token}
    assert token in {name for leak in observed.executions.leaks for name in leak["names"]}
    assert observed.seen_by_nobody == {token}
    assert watched.sentinel.find("".join(observed.journals.values())) == {token}
    assert [found.path for found in observed.findings if found.readable_by_all] == ["etc/leak"]
    kinds = {problem.partition(":")[0] for problem in observed.problems(watched.sentinel)}
    assert {"shown", "log", "argument", "seen by nobody", "for all to read"} < kinds
    # Another host takes its place: this one's journal is spoilt.
    watched.shop.lab_run("down", "store1").require()
    watched.shop.bare()


@pytest.mark.bare
@pytest.mark.parametrize("callback", ["default", "pasargad"])
def test_rendering_the_environment_shows_no_secret(watched: Watched, tmp_path: Path, callback: str) -> None:
    watched.shop.on("store1", "rm -rf /etc/pasargad").require()
    observed = watched.play(*Environments(tmp_path).role("app_env"), callback=callback)
    observed.run.require()
    assert observed.executions.seen > 10
    assert observed.problems(watched.sentinel) == []
    assert any(found.path.startswith("etc/pasargad/env/") for found in observed.findings)


def test_the_first_deploy_shows_no_secret(watched: Watched, first_plays: list[Observed]) -> None:
    for observed in first_plays:
        observed.run.require()
        assert observed.problems(watched.sentinel) == []
