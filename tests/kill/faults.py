"""Name the faults: where a deploy is hit, and by what."""

from __future__ import annotations

from dataclasses import dataclass

# One point in each phase; the switch is hit at each of its steps.
POINTS = (
    "begin:done",
    "stage:begin",
    "stage:done",
    "expand:started",
    "start:linked",
    "start:done",
    "switch:pending",
    "switch:armed",
    "switch:renamed",
    "switch:recorded",
    "verify:begin",
    "finish:confirmed",
    "finish:workers",
    "finish:recorded",
)
# A rollback has fewer steps, and the same ones in the switch.
ROLLBACK_POINTS = ("rollback:begin", "switch:decided", "switch:renamed", "rollback:done")
REBOOTED = ("start:linked", "switch:renamed", "verify:begin", "finish:confirmed")
METHODS = ("playbook", "operation", "reboot")


@dataclass(frozen=True)
class Fault:
    """One fault: the playbook is killed, the host's operation is killed, or the host reboots, at a journal point of a
    deploy or of a rollback."""

    method: str
    point: str
    verb: str = "deploy"

    @property
    def name(self) -> str:
        return f"{self.method}@{self.point}" + (f"@{self.verb}" if self.verb != "deploy" else "")

    @property
    def needs_migration(self) -> bool:
        """Whether the point is only reached when the release brings a migration."""
        return self.point == "expand:started"


def all_faults() -> list[Fault]:
    """Return every fault of the matrix."""
    deploys = [
        Fault(method, point) for method in METHODS for point in POINTS if method != "reboot" or point in REBOOTED
    ]
    rollbacks = [Fault(method, point, "rollback") for method in METHODS[:2] for point in ROLLBACK_POINTS]
    return [*deploys, *rollbacks, Fault("reboot", "switch:decided", "rollback")]


def sample() -> list[Fault]:
    """Return the few that a pull request is tested with: each way to die, before, in and after the switch."""
    return [
        Fault("operation", "start:linked"),
        Fault("playbook", "switch:renamed"),
        Fault("operation", "finish:confirmed"),
        Fault("reboot", "verify:begin"),
    ]
