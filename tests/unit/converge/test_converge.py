"""Provisioning ends at once for a host that nothing has changed for, and says what changed otherwise."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from pasargad_converge.fingerprint import contents_by_source, difference, files_by_source, fingerprint, values_by_source

from tests.unit.callback.conftest import REPO, run_book

Converge = Callable[..., tuple[bool, str]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small repository."""
    return repository(tmp_path / "repo")


def digest(root: Path) -> str:
    """The fingerprint of its files."""
    return fingerprint(files_by_source(root, []))


def test_each_role_is_a_source(root: Path) -> None:
    assert set(files_by_source(root, [])) == {"roles/postgres", "roles/redis", "templates", "requirements.yml"}
    assert "roles/redis" not in files_by_source(root, ["roles/redis"])


@pytest.mark.parametrize("change", ["content", "name", "mode", "new"])
def test_what_changes_the_fingerprint(root: Path, change: str) -> None:
    before, file = files_by_source(root, []), root / "roles/redis/tasks/main.yml"
    if change == "content":
        file.write_text("other")
    elif change == "name":
        file.rename(file.with_name("other.yml"))
    elif change == "mode":
        file.chmod(0o755)
    else:
        file.with_name("new.yml").write_text("")
    after = files_by_source(root, [])
    assert difference(before, after) == "roles/redis"
    assert fingerprint(before) != fingerprint(after)


def test_a_certificate_that_is_replaced_at_its_path_is_a_difference(root: Path) -> None:
    files = {name: root.parent / f"{name}.pem" for name in ("fullchain", "privkey")}
    for file in files.values():
        file.write_text("old")
    values = {f"tls_provided_{name}_path": str(file) for name, file in files.items()} | {"tls_live_dir": "/etc"}
    before = contents_by_source(values, root)
    assert set(before) == {f"tls_provided_{name}_path (content)" for name in files}
    files["fullchain"].write_text("new")
    assert difference(before, contents_by_source(values, root)) == "tls_provided_fullchain_path (content)"


def test_a_certificate_is_found_beside_the_repository_and_none_is_no_error(root: Path) -> None:
    (root / "mine.pem").write_text("x")
    beside, gone = ({"tls_provided_fullchain_path": path} for path in ("mine.pem", "/nowhere.pem"))
    assert contents_by_source(beside, root) != contents_by_source(gone, root)
    assert contents_by_source({"tls_provided_fullchain_path": ""}, root) == {}


def test_a_certificate_in_the_operator_s_home_is_found(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(root.parent))
    (root.parent / "home.pem").write_text("x")
    at_home, gone = ({"tls_provided_fullchain_path": path} for path in ("~/home.pem", "~/gone.pem"))
    assert contents_by_source(at_home, root) != contents_by_source(gone, root)


def test_what_does_not_change_it(root: Path) -> None:
    before = digest(root)
    for name in ("README.md", "molecule/default/converge.yml", "tests/test_x.py", "tasks/__pycache__/x.pyc"):
        path = root / "roles/redis" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    (root / "roles/redis/tasks/main.yml").touch()
    assert digest(root) == before


def test_secrets_count_but_share_one_digest() -> None:
    def secret(name: str) -> bool:
        return name.startswith("vault_")

    one = values_by_source({"pasargad_domain": "a", "vault_one": "x", "vault_two": "y"}, secret, Path("/x"))
    two = values_by_source({"pasargad_domain": "a", "vault_one": "x", "vault_two": "z"}, secret, Path("/x"))
    assert set(one) == {"pasargad_domain", "secrets"}
    assert difference(one, two) == "secrets"


def test_another_clone_is_the_same() -> None:
    def at(root: str) -> dict[str, str]:
        return values_by_source(
            {"pasargad_repo_root": root, "tls_files": [f"{root}/files"]}, lambda name: False, Path(root)
        )

    assert at("/checkouts/one/shop") == at("/srv/two")


def test_a_long_difference_is_cut() -> None:
    assert difference({}, dict.fromkeys("abcdef", "1")) == "a, b, c, d and 2 more"


GIVEN = ("-e", "pasargad_domain=a.test", "-e", "vault_pasargad_thing=first-secret")


def repository(place: Path) -> Path:
    """Make a small repository."""
    for name in ("roles/postgres/tasks/main.yml", "roles/redis/tasks/main.yml", "templates/env.j2", "requirements.yml"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(name)
    return place


def state_of(root: Path) -> Path:
    """Where the host keeps its state; the path tells no clone from another."""
    return root / ".state"


def provision(root: Path, *words: str) -> tuple[bool, str]:
    """Run a play that provisions one host (this machine) by a role that leaves a mark."""
    mark = root.parent / "mark"
    mark.unlink(missing_ok=True)
    variables = {"pasargad_repo_root": str(root), "pasargad_state_dir": str(state_of(root))}
    role = {"ansible.builtin.import_role": {"name": "converge"}}
    provision = {"name": "any | Provision", "ansible.builtin.file": {"path": "{{ mark }}", "state": "touch"}}
    broken = {
        "name": "any | Break",
        "ansible.builtin.fail": {"msg": "broken"},
        "when": "breaks | default(false) | bool",
    }
    book: list[dict[str, Any]] = [
        {"hosts": "all", "name": "Provision", "tasks": [role, provision, broken]},
        {"hosts": "all", "name": "Provision again", "tasks": [role, provision]},
        {
            "hosts": "all",
            "name": "Remember",
            "tasks": [{"ansible.builtin.import_role": {"name": "converge", "tasks_from": "record"}}],
        },
    ]
    plays = root.parent / "book.json"
    keys = {"connection": "local", "gather_facts": False, "vars": variables}
    plays.write_text(json.dumps([{**each, **keys} for each in book]).replace("{{ mark }}", str(mark)))
    done = run_book(plays, *words)
    assert done.returncode == (2 if "breaks=true" in words else 0), done.stdout + done.stderr
    return mark.exists(), done.stdout


@pytest.fixture(scope="module")
def provisioned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository and the state of a host that was provisioned by it; not to be changed."""
    root = repository(tmp_path_factory.mktemp("provisioned") / "repo")
    assert provision(root, *GIVEN)[0]
    return root


@pytest.fixture
def converge(root: Path) -> Converge:
    """Provision a host from the repository of the test."""
    return partial(provision, root)


@pytest.fixture
def again(provisioned: Path, root: Path) -> Converge:
    """Provision a host anew that another clone of the same repository has provisioned, with the same values."""
    shutil.copytree(state_of(provisioned), state_of(root))
    return partial(provision, root)


def test_a_host_is_provisioned_once(again: Converge) -> None:
    provisioned, output = again(*GIVEN)
    assert not provisioned
    assert "unchanged" in output
    assert "0 changed" in output


def test_a_changed_role_provisions_again_and_is_named(again: Converge, root: Path) -> None:
    (root / "roles/redis/tasks/main.yml").write_text("other")
    provisioned, output = again(*GIVEN)
    assert provisioned
    assert "because of roles/redis" in output


def test_a_changed_value_and_a_changed_secret_provision_again(again: Converge) -> None:
    provisioned, output = again("-e", "pasargad_domain=b.test", "-e", "vault_pasargad_thing=first-secret")
    assert provisioned
    assert "pasargad_domain" in output
    provisioned, output = again("-e", "pasargad_domain=b.test", "-e", "vault_pasargad_thing=other-secret")
    assert provisioned
    assert "because of secrets" in output


def test_full_provisions_in_any_case(again: Converge) -> None:
    assert again(*GIVEN, "-e", "pasargad_converge=full")[0]
    assert not again(*GIVEN)[0]


def test_a_provisioning_that_broke_off_is_not_taken_for_done(again: Converge) -> None:
    again("-e", "pasargad_domain=b.test", "-e", "breaks=true")
    provisioned, output = again(*GIVEN)
    assert provisioned
    assert "did not come to its end" in output
    assert not again(*GIVEN)[0]


def test_check_mode_records_nothing(converge: Converge, root: Path) -> None:
    converge("--check")
    assert not state_of(root).exists()


def test_a_damaged_record_provisions_again(again: Converge, root: Path) -> None:
    (state_of(root) / "converge.json").write_text('{"fingerprint": ')
    assert again(*GIVEN)[0]


def test_the_record_is_for_root_alone_and_holds_no_secret(provisioned: Path) -> None:
    record = state_of(provisioned) / "converge.json"
    assert record.stat().st_mode & 0o777 == 0o600
    assert "first-secret" not in record.read_text()
    assert "vault_pasargad_thing" not in record.read_text()


def test_every_ignored_source_exists() -> None:
    defaults = yaml.safe_load((REPO / "roles/converge/defaults/main.yml").read_text())
    assert [name for name in defaults["converge_ignored"] if not (REPO / name).exists()] == []


def test_what_later_roles_remember_is_asked_in_the_same_go(root: Path, tmp_path: Path) -> None:
    remembered, gone = tmp_path / "data.digest", tmp_path / "gone"
    remembered.write_text("what was filled in")
    question = {"path": str(tmp_path / "converge.json"), "digests": [str(remembered), str(gone)]}
    tasks: list[dict[str, Any]] = [
        {"name": "any | Ask", "pasargad_converge": {"root": str(root), **question}},
        {
            "name": "any | Compare with what Ansible counts",
            "ansible.builtin.assert": {
                "that": "ansible_facts.pasargad_digests == {path: 'what was filled in' | hash('sha1')}"
            },
            "vars": {"path": str(remembered)},
        },
    ]
    book = tmp_path / "book.json"
    book.write_text(json.dumps([{"hosts": "all", "connection": "local", "gather_facts": False, "tasks": tasks}]))
    done = run_book(book)
    assert done.returncode == 0, done.stdout + done.stderr
