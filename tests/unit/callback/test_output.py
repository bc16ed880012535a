"""What an operator sees of a run, in the output of real plays."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from pathlib import Path

import yaml

from tests.unit.callback.conftest import ANSIBLE, Run, environment

SECRET = "pl4nted-s3cret/with+signs"
MODULE = """
from ansible.module_utils.basic import AnsibleModule
module = AnsibleModule(argument_spec={"result": {"type": "dict"}}, supports_check_mode=True)
result = module.params["result"]
(module.fail_json if result.get("failed") else module.exit_json)(**result)
"""


def answer(name: str, **result: object) -> dict[str, object]:
    """A task whose module returns exactly this."""
    return {"name": name, "answer": {"result": result}}


def library(tmp_path: Path) -> dict[str, str]:
    """Make the module `answer` known; returns the environment for it."""
    (tmp_path / "library").mkdir(exist_ok=True)
    (tmp_path / "library" / "answer.py").write_text(MODULE)
    return {"ANSIBLE_LIBRARY": str(tmp_path / "library")}


def test_a_phase_is_one_line_with_its_time(play: Run, tmp_path: Path) -> None:
    report = {"phase": "switch", "line": "blue -> green 0.4 ms"}
    done = play([answer("any | Switch", changed=True, pasargad=report)], env=library(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^  switch +localhost +blue -> green 0\.4 ms +\d\.\d+ s$", done.stdout, re.M)
    assert "any | Switch" not in done.stdout


def test_hosts_that_say_the_same_share_a_line(play: Run, tmp_path: Path) -> None:
    same = answer("any | Stage", pasargad={"phase": "stage", "line": "212 files"})
    other = answer("any | Start", pasargad={"phase": "start", "line": "{{ inventory_hostname }} ready"})
    done = play([same, other], hosts="web1,web2,", env=library(tmp_path))
    assert re.search(r"^  stage +web1 web2 +212 files", done.stdout, re.M)
    assert re.search(r"^  start +web1 +web1 ready", done.stdout, re.M)
    assert re.search(r"^  start +web2 +web2 ready", done.stdout, re.M)


def test_only_tasks_that_changed_are_named(play: Run, tmp_path: Path) -> None:
    done = play([answer("any | Quiet"), answer("any | Loud", changed=True)], env=library(tmp_path))
    assert re.search(r"^  Try +localhost +1 ok, 1 changed +\d\.\d+ s\n +any \| Loud$", done.stdout, re.M)
    assert "Quiet" not in done.stdout
    assert re.search(r"^try\.yml: done in .* s  1 changed  ok: localhost$", done.stdout, re.M)


def test_check_mode_says_so_and_predicts(play: Run, tmp_path: Path) -> None:
    done = play([answer("any | Loud", changed=True)], "--check", env=library(tmp_path))
    assert "check mode: nothing is changed" in done.stdout.splitlines()[0]
    assert "0 ok, 1 would change" in done.stdout


def test_a_failure_names_phase_host_cause_log_and_next_command(play: Run, tmp_path: Path) -> None:
    failed = answer(
        "ready | Wait until green answers",
        failed=True,
        msg="green never became ready",
        hint="journalctl -u pasargad-web@green",
        pasargad={"phase": "ready", "details": {"log": ["line one", "line two"], "traffic": "users stay on 5ad01c2"}},
    )
    done = play([failed], env=library(tmp_path))
    assert done.returncode == 2
    lines = done.stdout.splitlines()
    at = lines.index("FAILED  ready  localhost")
    block = "\n".join(lines[at:])
    assert re.search(r"^  task +ready \| Wait until green answers  \(.*try\.yml:\d+\)$", block, re.M)
    assert re.search(r"^  cause +green never became ready$", block, re.M)
    assert re.search(r"^  traffic +users stay on 5ad01c2$", block, re.M)
    assert re.search(r"^  log +\| line one\n +\| line two$", block, re.M)
    assert re.search(r"^  next +journalctl -u pasargad-web@green$", block, re.M)
    assert lines[-1] == "next: journalctl -u pasargad-web@green"


def test_log_lines_of_json_are_made_readable(play: Run, tmp_path: Path) -> None:
    trace = "Traceback\n" + "\n".join(f"  line {number}" for number in range(40)) + "\nKeyError: 'product_card'"
    record = {"time": "13:34", "level": "error", "logger": "shop", "message": "Failed", "path": "/", "exception": trace}
    details = {"log": [json.dumps(record), "plain words", '{"half": '], "x": 1}
    done = play([answer("any | Start", failed=True, msg="500", pasargad={"details": details})], env=library(tmp_path))
    assert "log      | 13:34 error shop Failed /\n" in done.stdout
    assert "| KeyError: 'product_card'\n" in done.stdout
    assert "line 3\n" not in done.stdout
    assert '| plain words\n           | {"half": \n' in done.stdout


def test_a_failing_command_shows_its_last_lines(play: Run) -> None:
    done = play([{"name": "any | Fail", "ansible.builtin.shell": "seq 1 90; echo why >&2; exit 3"}])
    assert re.search(r"^  exit +3$", done.stdout, re.M)
    shown = re.findall(r"^ +(?:log +)?\| (.*)$", done.stdout, re.M)
    assert shown[-1] == "why"
    assert len(shown) == 30


def test_each_failed_item_of_a_loop_is_shown(play: Run) -> None:
    task = {"name": "any | Each", "ansible.builtin.command": "test {{ item }} = two", "loop": ["one", "two", "three"]}
    done = play([task])
    assert "(item one)" in done.stdout
    assert "(item three)" in done.stdout
    assert "(item two)" not in done.stdout


def test_an_unreachable_host_is_told_apart(play: Run) -> None:
    done = play(
        [{"name": "any | Ping", "ansible.builtin.ping": None}],
        "-e",
        "ansible_ssh_common_args='-o ConnectTimeout=2'",
        hosts="192.0.2.1,",
        connection="ssh",
    )
    assert done.returncode == 4
    assert "UNREACHABLE  Try  192.0.2.1" in done.stdout
    assert "next" in done.stdout


def test_ignored_failures_are_shown_as_ignored(play: Run, tmp_path: Path) -> None:
    done = play([{**answer("any | Try", failed=True, msg="no"), "ignore_errors": True}], env=library(tmp_path))
    assert done.returncode == 0
    assert "ignored: FAILED  Try  localhost" in done.stdout
    assert "done in" in done.stdout


def test_secrets_are_masked_everywhere(play: Run, tmp_path: Path) -> None:
    tasks = [
        {"name": "any | Say", "ansible.builtin.debug": {"msg": "it is {{ vault_pasargad_thing }}"}},
        {
            "name": "any | Write",
            "ansible.builtin.copy": {"content": "key={{ pasargad_mail_password }}\n", "dest": str(tmp_path / "file")},
        },
        {"name": "any | Fail", "ansible.builtin.shell": "echo {{ pasargad_mail_password | quote }} >&2; exit 1"},
    ]
    secrets = {"vault_pasargad_thing": SECRET, "pasargad_mail_password": SECRET + "-two", "pasargad_domain": "a.test"}
    log = tmp_path / "run.jsonl"
    for words in ([], ["--diff"], ["-vvv", "--diff"]):
        (tmp_path / "file").unlink(missing_ok=True)
        done = play(tasks, *words, vars=secrets, env={"PASARGAD_EVENT_LOG": str(log)})
        everything = done.stdout + done.stderr + log.read_text()
        assert done.returncode == 2
        assert "********" in done.stdout
        assert SECRET not in everything
        assert "-two" not in everything
        if "--diff" in words:
            assert "+key=********" in done.stdout


def test_what_no_log_hides_stays_hidden(play: Run, tmp_path: Path) -> None:
    task = {**answer("any | Hide", failed=True, msg="plain words nobody may see"), "no_log": True}
    done = play([task], env=library(tmp_path))
    assert "nobody may see" not in done.stdout
    assert "any | Hide" in done.stdout
    assert "hidden (no_log)" in done.stdout


def test_the_end_counts_requests_of_all_hosts(play: Run, tmp_path: Path) -> None:
    details = {"requests_served": 9000, "requests_lost": 1, "rollback": "instant until 14:42"}
    finish = answer("any | Finish", pasargad={"phase": "finish", "line": "done", "details": details})
    done = play([finish], hosts="web1,web2,", env=library(tmp_path))
    assert "requests during the release: 18,000 served, 2 lost" in done.stdout
    assert "rollback: instant until 14:42" in done.stdout


def test_the_event_log_has_one_object_a_line(play: Run, tmp_path: Path) -> None:
    log = tmp_path / "deep" / "run.jsonl"
    report = {"phase": "build", "line": "7f3c9e1"}
    tasks = [answer("any | Build", pasargad=report), answer("any | Fail", failed=True, msg="no")]
    play(tasks, env={**library(tmp_path), "PASARGAD_EVENT_LOG": str(log)})
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert [event["event"] for event in events] == ["phase", "failed", "end"]
    assert events[0]["lines"] == {"7f3c9e1": ["localhost"]}
    assert events[-1]["failed"] == ["localhost"]


def test_no_colour_without_a_terminal(play: Run) -> None:
    assert "\x1b" not in play([{"name": "any | Ping", "ansible.builtin.ping": None}]).stdout


def on_terminal(tmp_path: Path, tasks: list[dict[str, object]], **env: str) -> str:
    """Run a play on a terminal of its own and return what the terminal got."""
    book = tmp_path / "try.yml"
    content = {"name": "Try", "hosts": "all", "connection": "local", "gather_facts": False, "tasks": tasks}
    book.write_text(yaml.safe_dump([content], sort_keys=False))
    leader, follower = pty.openpty()
    run = subprocess.Popen(
        [ANSIBLE, "-i", "localhost,", book],
        env=environment(TERM="xterm", COLUMNS="120", **env),
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    output = b""
    try:
        while chunk := os.read(leader, 4096):
            output += chunk
    except OSError:
        pass  # The other side of a terminal is closed: its reader gets an error, not an end.
    finally:
        os.close(leader)
    assert run.wait(timeout=60) == 0, output.decode()
    return output.decode()


def test_a_terminal_sees_colours_and_a_long_step_ticking(tmp_path: Path) -> None:
    output = on_terminal(
        tmp_path, [{"name": "any | Sleep", "ansible.builtin.command": "sleep 3", "changed_when": False}]
    )
    assert re.search(r"\r\x1b\[K  Try +localhost +any \| Sleep  \d\.\d s", output)
    assert "\x1b[0;32m  Try" in output
    # The ticking line is gone before the lasting one is printed.
    assert re.search(r"any \| Sleep  2\.\d s\r\x1b\[K", output)


def test_no_color_is_respected_on_a_terminal(tmp_path: Path) -> None:
    output = on_terminal(tmp_path, [{"name": "any | Ping", "ansible.builtin.ping": None}], NO_COLOR="1")
    assert not re.search(r"\x1b\[\d+(;\d+)*m", output)


def test_other_callbacks_and_commands_still_work(play: Run, tmp_path: Path) -> None:
    tasks = [answer("any | Loud", changed=True, pasargad={"phase": "switch", "line": "x"})]
    plain = play(tasks, env={**library(tmp_path), "ANSIBLE_STDOUT_CALLBACK": "default"})
    assert plain.returncode == 0
    assert "changed: [localhost]" in plain.stdout
    listing = play(tasks, "--list-tasks", env=library(tmp_path))
    assert listing.returncode == 0
    assert "any | Loud" in listing.stdout
    verbose = play(tasks, "-vvv", env=library(tmp_path))
    assert verbose.returncode == 0
    assert "changed localhost: any | Loud =>" in verbose.stdout


def test_step_asks_and_goes_on(tmp_path: Path) -> None:
    book = tmp_path / "try.yml"
    tasks = [{"name": "any | Ask", "ansible.builtin.debug": {"msg": "asked"}}]
    content = {"name": "Try", "hosts": "all", "connection": "local", "gather_facts": False, "tasks": tasks}
    book.write_text(yaml.safe_dump([content]))
    done = subprocess.run(
        [ANSIBLE, "-i", "localhost,", "--step", book],
        env=environment(),
        input="y\n",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "asked" in done.stdout
