"""What a rehearsal has found, as data: `gpu-clusters rehearse --json` prints it, the terminal shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import cast

from gpu_clusters.controlplane.overview import Overview
from gpu_clusters.findings import Finding
from gpu_clusters.rehearsal.engine.events import ResourceError, Step
from gpu_clusters.rehearsal.world import Journal, Leftover, PendingPod
from gpu_clusters.toolchain import Located


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One step of a rehearsal and how long it took, in seconds."""

    name: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Created:
    """A resource that is there after the `up`."""

    type: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Change:
    """What an `up` on an earlier configuration of the stack changed.

    Attributes:
        file: the earlier configuration.
        errors: what of that couldn't be brought up.
        steps: what then had to be changed.
    """

    file: str
    errors: tuple[ResourceError, ...] = ()
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SecondUp:
    """What an `up` would change of a stack that has just been brought up. `errors`: what failed in it."""

    steps: tuple[Step, ...] = ()
    errors: tuple[ResourceError, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Report:
    """All that a rehearsal has found.

    Attributes:
        created: what came up, in the order of the engine's state; neither the stack itself nor providers.
        refused: what didn't, in the words of who refused it.
        pending: pods that don't run.
        second_up: None if something was refused, since then it says nothing.
        change: None if no earlier configuration was given.
        overviews: what was on the clusters, by their name.
        protected: resources, whose protection was lifted in order to see a destroy.
        simulated_secrets: encrypted values of the configuration that were replaced.
        left_out: what of the stack's file a rehearsal can't have.
    """

    stack: str
    engine: Located
    created: tuple[Created, ...] = ()
    refused: tuple[ResourceError, ...] = ()
    pending: tuple[PendingPod, ...] = ()
    second_up: SecondUp | None = None
    change: Change | None = None
    leftovers: tuple[Leftover, ...] = ()
    findings: tuple[Finding, ...] = ()
    overviews: Mapping[str, Overview] = field(default_factory=dict[str, Overview])
    protected: tuple[str, ...] = ()
    simulated_secrets: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    phases: tuple[Phase, ...] = ()
    seconds: float = 0.0
    journal: Journal = field(default_factory=Journal)

    @property
    def passed(self) -> bool:
        """Whether all came up, nothing is Pending and a second `up` has nothing to change."""
        second = self.second_up
        settled = second is not None and not second.steps and not second.errors
        return settled and not self.refused and not self.pending and not (self.change and self.change.errors)

    def to_json(self) -> dict[str, object]:
        """The document of `--json`."""
        second, journal = self.second_up, self.journal
        return {
            "stack": self.stack,
            "result": "passed" if self.passed else "failed",
            "engine": {
                "path": str(self.engine.path),
                "version": self.engine.version,
                "source": self.engine.source,
            },
            "created": [asdict(item) for item in self.created],
            "pending": [
                {"cluster": pod.cluster, "namespace": pod.namespace, "pod": pod.name, "reason": pod.reason}
                for pod in self.pending
            ],
            "refused": _errors(self.refused),
            "unchecked": [asdict(item) for item in journal.unchecked],
            "scaled": [asdict(item) for item in journal.scaled],
            "rollouts": [asdict(item) for item in journal.rollouts],
            "secondUp": second
            and {
                "changes": len(second.steps),
                "resources": [_step(step) for step in second.steps],
                "errors": _errors(second.errors),
            },
            "change": self.change
            and {
                "from": self.change.file,
                "errors": _errors(self.change.errors),
                "resources": [_step(step) for step in self.change.steps],
            },
            "leftovers": [asdict(item) for item in self.leftovers],
            "findings": [asdict(item) for item in self.findings],
            "simulatedAnswers": list(journal.simulated),
            "simulatedSecrets": list(self.simulated_secrets),
            "leftOut": list(self.left_out),
            "protected": list(self.protected),
            "clusters": [{"name": name, "overview": seen.to_json()} for name, seen in self.overviews.items()],
            "phases": [{"name": phase.name, "seconds": round(phase.seconds, 3)} for phase in self.phases],
            "durationSeconds": round(self.seconds, 3),
        }


def _errors(errors: Sequence[ResourceError]) -> list[dict[str, object]]:
    return [{"resource": error.resource, "message": error.message} for error in errors]


def _step(step: Step) -> dict[str, object]:
    return {
        "op": step.op,
        "type": step.type,
        "name": step.name,
        "replaceReasons": list(step.replace_reasons),
        "diff": cast("dict[str, object]", dict(step.diff or {})),
    }
