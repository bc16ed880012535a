"""The operator's one-screen output; what it says is decided in module_utils/pasargad_output."""

from __future__ import annotations

DOCUMENTATION = """
name: pasargad
type: stdout
short_description: One line a phase, only what changed, errors in full, secrets masked
description:
  - A module result may carry C(pasargad) with C(phase), C(line) and C(details); it is shown as one line with its time.
  - Other tasks are counted per role (or per play outside roles); those that changed something are named.
  - A failed task is shown with its phase, host, cause, last log lines and the next command (result key C(hint)).
  - Values of variables named C(vault_*), C(*password*), C(*secret*) and the like are masked wherever they appear.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
options:
  event_log:
    description: A file that receives one JSON object a line for each phase, role, failure and for the end of the run.
    type: path
    env:
      - name: PASARGAD_EVENT_LOG
    ini:
      - section: callback_pasargad
        key: event_log
requirements:
  - set as stdout in configuration
"""

import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible import context
from ansible.executor.task_result import CallbackTaskResult
from ansible.plugins.callback import CallbackBase

# Ansible loads a callback by its file, not as part of a package.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "module_utils"))

from pasargad_output.failure import Failure, read_failure
from pasargad_output.layout import count, duration, field, hosts_text, phase_line, quoted
from pasargad_output.live import Live
from pasargad_output.masking import Masker, secret_values
from pasargad_output.steps import Phase, Step

COUNTED = ("requests_served", "requests_lost")


class CallbackModule(CallbackBase):
    """Listens to Ansible's events and prints phases, steps, failures and the end."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "pasargad"

    def __init__(self) -> None:
        super().__init__()
        self._masker = Masker()
        self._masked_hosts: set[str] = set()
        self._began = time.monotonic()
        self._play_name = ""
        self._playbook_path = Path()
        self._play_hosts: list[str] = []
        self._step: Step | None = None
        self._phases: dict[str, Phase] = {}
        self._shown_steps: set[str] = set()
        self._details: dict[str, Any] = {}
        self._requests: Counter[str] = Counter()
        self._failures: list[Failure] = []
        self._display_unmasked = self._display.display
        self._live = Live(self._display._lock, self._say, lambda: self._display.columns)
        # Warnings, -vvv and the errors of Ansible itself pass by the callback; they are masked at this door.
        self._display.display = self._display_masked

    # Printing

    def _display_masked(self, msg: str, *args: Any, **kwargs: Any) -> None:
        self._live.clear()
        self._display_unmasked(self._masker.mask(str(msg)), *args, **kwargs)

    def _say(self, text: str, color: str | None = None) -> None:
        self._display.display(text, color=color)
        sys.stdout.flush()

    def _log_event(self, event: str, **values: Any) -> None:
        path = self.get_option("event_log")
        if path:
            seconds = round(time.monotonic() - self._began, 3)
            line = json.dumps({"event": event, "seconds": seconds, **values}, default=str)
            with Path(path).open("a", encoding="utf-8") as log:
                log.write(self._masker.mask(line) + "\n")

    # Playbook and plays

    def v2_playbook_on_start(self, playbook: Any) -> None:
        self._playbook_path = Path(playbook._file_name)
        if path := self.get_option("event_log"):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text("", encoding="utf-8")
        words = [self._playbook_path.name, *map(_inventory_name, context.CLIARGS.get("inventory") or [])]
        if context.CLIARGS.get("check"):
            words.append("check mode: nothing is changed")
        self._say("  ".join(words), C.COLOR_HIGHLIGHT)

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._end_step()
        self._play_name = play.get_name().strip()
        self._learn_secrets(play)
        if self._display.verbosity:
            self._say(f"play: {self._play_name}", C.COLOR_VERBOSE)

    def _learn_secrets(self, play: Any) -> None:
        manager = play.get_variable_manager()
        for host in manager._inventory.get_hosts(play.hosts):
            if host.name not in self._masked_hosts:
                self._masked_hosts.add(host.name)
                self._masker.learn(secret_values(manager.get_vars(play=play, host=host, include_hostvars=False)))

    def v2_playbook_on_no_hosts_matched(self) -> None:
        if self._display.verbosity:
            self._say(phase_line(self._play_name, [], "no hosts of the inventory belong to it"), C.COLOR_SKIP)

    def v2_playbook_on_no_hosts_remaining(self) -> None:
        self._end_step()

    # Tasks

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        self._begin_task(task)

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        self._begin_task(task)

    def _begin_task(self, task: Any) -> None:
        self._end_phases()
        self._step_of(task)
        asks = task.action in C._ACTION_META or task.action.endswith("pause") or context.CLIARGS.get("step")
        if asks:
            self._live.pause()
        else:
            self._live.show(self._step_name(task), _task_name(task))
        if self._display.verbosity > 1:
            self._say(f"task: {_task_name(task)}  ({_where(task)})", C.COLOR_VERBOSE)

    def _step_name(self, task: Any) -> str:
        return str(task._role.get_name()) if task._role else self._play_name

    def _step_of(self, task: Any) -> Step:
        name = self._step_name(task)
        if self._step is None or self._step.name != name:
            self._end_step()
            self._step = Step(name, time.monotonic(), checking=bool(context.CLIARGS.get("check")))
        return self._step

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        self._live.host(host.get_name())
        if task._uuid not in self._phases:
            self._phases[task._uuid] = Phase("", time.monotonic())

    def v2_runner_on_ok(self, result: CallbackTaskResult) -> None:
        self._handle_warnings_and_exception(result)
        host = result.host.get_name()
        self._live.host_done(host)
        report = result.result.get("pasargad")
        if isinstance(report, dict) and report.get("line"):
            self._add_phase(result, host, report)
        else:
            self._step_of(result.task).add(
                host, _task_name(result.task), changed=result.is_changed(), now=time.monotonic()
            )
        self._show_result("changed" if result.is_changed() else "ok", result)

    def _add_phase(self, result: CallbackTaskResult, host: str, report: dict[str, Any]) -> None:
        now = time.monotonic()
        phase = self._phases.setdefault(result.task._uuid, Phase("", now))
        phase.name = str(report.get("phase") or _task_name(result.task))
        phase.add(host, str(report["line"]), now)
        details = report.get("details")
        if isinstance(details, dict):
            self._details.update(details)
            # Each web host counts what its own edge saw.
            self._requests.update({key: details[key] for key in COUNTED if key in details})
        self._step_of(result.task).reported = True

    def v2_runner_on_skipped(self, result: CallbackTaskResult) -> None:
        self._live.host_done(result.host.get_name())
        self._handle_warnings_and_exception(result)
        if self._display.verbosity:
            self._show_result("skipped", result)

    def v2_runner_on_failed(self, result: CallbackTaskResult, ignore_errors: bool = False) -> None:
        self._fail(result, ignored=ignore_errors)

    def v2_runner_on_unreachable(self, result: CallbackTaskResult) -> None:
        self._fail(result, ignored=bool(result.task.ignore_unreachable), unreachable=True)

    def v2_runner_retry(self, result: CallbackTaskResult) -> None:
        if self._display.verbosity:
            left = result.result.get("retries", 0) - result.result.get("attempts", 0)
            host = result.host.get_name()
            self._say(f"      again on {host}: {_task_name(result.task)} ({count(left, 'attempt')} left)")

    def v2_on_file_diff(self, result: CallbackTaskResult) -> None:
        results = result.result.get("results", [result.result]) if result.task.loop else [result.result]
        for item in results:
            if not (isinstance(item, dict) and item.get("diff") and item.get("changed")):
                continue
            if text := self._get_diff(item["diff"]):
                self._say(f"      {_task_name(result.task)}  ({result.host.get_name()})")
                self._say(text.rstrip("\n"))

    def _show_result(self, status: str, result: CallbackTaskResult) -> None:
        """Show what debug prints, and every result from -v on."""
        if not self._run_is_verbose(result):
            return
        shown = result.result
        self._clean_results(shown, result.task.action)
        if result.task.action in C._ACTION_DEBUG and isinstance(shown.get("msg"), str | list):
            message = shown["msg"]
            self._say("\n".join(map(str, message)) if isinstance(message, list) else message)
            return
        head = f"      {status} {self.host_label(result)}: {_task_name(result.task)}"
        self._say(f"{head} => {self._dump_results(shown)}", C.COLOR_VERBOSE)

    # Failures

    def _fail(self, result: CallbackTaskResult, *, ignored: bool, unreachable: bool = False) -> None:
        host = result.host.get_name()
        self._live.host_done(host)
        if self._display.verbosity:
            self._handle_warnings_and_exception(result)
        else:
            self._handle_warnings(result.result)
        task = result.task
        if not ignored:
            self._end_step()
        self._end_phases()
        for item in _failed_items(result.result):
            label = f"  (item {self._get_item_label(item)})" if "ansible_loop_var" in item else ""
            failure = read_failure(
                item,
                phase=self._step_name(task),
                host=self.host_label(result),
                task=_task_name(task) + label,
                path=_where(task),
                unreachable=unreachable,
            )
            self._show_failure(failure, ignored=ignored, word="UNREACHABLE" if unreachable else "FAILED")
            if not ignored:
                self._failures.append(failure)
            if self._display.verbosity:
                self._say(self._dump_results(item), C.COLOR_VERBOSE)

    def _show_failure(self, failure: Failure, *, ignored: bool, word: str) -> None:
        color = C.COLOR_SKIP if ignored else C.COLOR_ERROR
        self._say(f"{'ignored: ' if ignored else ''}{word}  {failure.phase}  {failure.host}", color)
        lines = [*field("task", f"{failure.task}  ({failure.path})"), *field("cause", failure.cause)]
        for name, text in failure.facts.items():
            lines += field(name, text)
        lines += quoted("log", failure.log)
        if not ignored:
            lines += field("next", failure.hint)
        self._say("\n".join(lines))
        self._log_event("failed", ignored=ignored, **vars(failure))

    # Ends

    def _end_phases(self) -> None:
        for phase in self._phases.values():
            for line in phase.lines():
                self._say(line, C.COLOR_OK)
                self._shown_steps.add(phase.name)
            if phase.hosts_by_text:
                seconds = round(phase.ended - phase.started, 3)
                self._log_event("phase", phase=phase.name, took=seconds, lines=dict(phase.hosts_by_text))
        self._phases.clear()

    def _end_step(self) -> None:
        self._end_phases()
        step, self._step = self._step, None
        if step is None:
            return
        # A role that stands in several plays says only once that it found nothing to do.
        for line in step.lines() if step.changed or step.name not in self._shown_steps else []:
            self._shown_steps.add(step.name)
            self._say(line, C.COLOR_CHANGED if step.changed else C.COLOR_OK)
        if step.hosts:
            self._log_event("step", step=step.name, hosts=step.hosts, ok=step.ok, changed=step.changed)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._end_step()
        self._live.close()
        hosts = sorted(stats.processed)
        bad = [host for host in hosts if stats.failures.get(host) or stats.dark.get(host)]
        good = [host for host in hosts if host not in bad]
        changed = sum(stats.changed.values())
        took = duration(time.monotonic() - self._began)
        verb = "would change" if context.CLIARGS.get("check") else "changed"
        words = [f"{self._playbook_path.name}: {'failed' if bad else 'done'} in {took}", f"{changed} {verb}"]
        if good:
            words.append(f"ok: {hosts_text(good)}")
        if bad:
            words.append(f"failed: {' '.join(bad)}")
        self._say("  ".join(words), C.COLOR_ERROR if bad else C.COLOR_HIGHLIGHT)
        self._show_release()
        if bad and self._failures:
            self._say(f"next: {self._failures[-1].hint}")
        summary = {host: stats.summarize(host) for host in hosts}
        self._log_event("end", hosts=summary, failed=bad, details={**self._details, **self._requests})

    def _show_release(self) -> None:
        """Say what the release cost the shoppers, and what taking it back would cost."""
        if self._requests.keys() >= set(COUNTED):
            served, lost = (self._requests[key] for key in COUNTED)
            color = C.COLOR_ERROR if lost else C.COLOR_OK
            self._say(f"requests during the release: {served:,} served, {lost:,} lost", color)
        if self._details.get("rollback"):
            self._say(f"rollback: {self._details['rollback']}")


def _inventory_name(source: str) -> str:
    path = Path(source)
    return path.parent.name if path.name in {"hosts.yml", "hosts.yaml"} else path.name


def _task_name(task: Any) -> str:
    return str(task.name or task.action).strip()


def _where(task: Any) -> str:
    path, _, line = (task.get_path() or "").rpartition(":")
    root = Path(C.CONFIG_FILE).parent if C.CONFIG_FILE else Path.cwd()
    shown = Path(path).relative_to(root) if path and Path(path).is_relative_to(root) else path
    return f"{shown}:{line}"


def _failed_items(result: dict[str, Any]) -> list[dict[str, Any]]:
    items = [item for item in result.get("results") or [] if isinstance(item, dict) and item.get("failed")]
    return items or [result]
