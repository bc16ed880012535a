"""Runs steps side by side, logs each to its own file and says how it goes."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.run.stages import LABS_OF_SCENARIOS, RESULTS, Stage, Step, base_environment

HEARTBEAT_SECONDS = 30
# Two keep two cores busy. Each has a lab of its own for Molecule.
LANES = len(LABS_OF_SCENARIOS)
TAIL_LINES = 60


@dataclass(frozen=True)
class StepResult:
    """How a step ended; `problem` is empty when all is well. `began` is monotonic time."""

    step: Step
    began: float
    seconds: float
    problem: str
    log: Path


class Runner:
    """Runs stages and remembers the processes it started, so that an interruption ends them."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._running: set[subprocess.Popen[bytes]] = set()
        self._guard = threading.Lock()
        self._stopped = False

    def run(self, stages: Sequence[Stage], done: Callable[[Stage, list[StepResult]], None]) -> None:
        """Run all steps of all stages in order, also after a failure; `done` hears of a stage after its last step.

        As many steps run at once as there are lanes, also of two stages: a lane does not wait for the end of a stage.
        """
        lanes: queue.SimpleQueue[int] = queue.SimpleQueue()
        for lane in range(LANES):
            lanes.put(lane)

        def in_lane(stage: Stage, step: Step) -> StepResult:
            lane = lanes.get()
            try:
                return self._run_step(stage, step, lane)
            finally:
                lanes.put(lane)

        with ThreadPoolExecutor(LANES) as pool:
            started = [(stage, [pool.submit(in_lane, stage, step) for step in stage.steps]) for stage in stages]
            try:
                for stage, steps in started:
                    done(stage, [step.result() for step in steps])
            except KeyboardInterrupt:
                self.stop()
                raise

    def _run_step(self, stage: Stage, step: Step, lane: int) -> StepResult:
        log = RESULTS / f"{stage.name}-{step.name}.log"
        started = time.monotonic()
        if self._stopped:
            return StepResult(step, started, 0, "interrupted", log)
        own_lab = {"PASARGAD_MOLECULE_LAB": str(LABS_OF_SCENARIOS[lane])}
        environment = {**base_environment(), **own_lab, **step.environment}
        with log.open("wb") as output:
            try:
                process = subprocess.Popen(
                    step.argv, cwd=step.directory, env=environment, stdout=output, stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL, start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                problem = f"cannot run {step.argv[0]}: {error.strerror}. Run: bin/setup --tests"
                log.write_text(problem + "\n")
                return self._finish(stage, StepResult(step, started, 0, problem, log))
            with self._guard:
                self._running.add(process)
            problem = self._wait(stage, step, process, started)
            with self._guard:
                self._running.discard(process)
        return self._finish(stage, StepResult(step, started, time.monotonic() - started, problem, log))

    def _wait(self, stage: Stage, step: Step, process: subprocess.Popen[bytes], started: float) -> str:
        while True:
            try:
                code = process.wait(HEARTBEAT_SECONDS)
            except subprocess.TimeoutExpired:
                elapsed = time.monotonic() - started
                if elapsed > step.seconds:
                    end_group(process)
                    return f"took longer than {step.seconds:.0f} s"
                self._say(f"  {stage.name}: {step.name} is running ({elapsed:.0f} s)")
                continue
            end_group(process)
            return "" if code == 0 else f"ended with {code}"

    def _finish(self, stage: Stage, result: StepResult) -> StepResult:
        word = f"FAILED: {result.problem}" if result.problem else "ok"
        self._say(f"  {stage.name}: {result.step.name} {word} ({result.seconds:.1f} s)")
        if result.problem:
            lines = result.log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
            self._say("\n".join(["", *(f"    | {line}" for line in lines), f"    all of it: {result.log}", ""]))
        return result

    def stop(self) -> None:
        """End every step that runs; none starts any more."""
        self._stopped = True
        with self._guard:
            for process in self._running:
                end_group(process)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End what a step left behind in its own process group, and the step itself if it runs."""
    for number, grace in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 1.0)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(grace)
