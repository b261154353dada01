"""Findings: what might go wrong, said in the preview. What must go wrong is a ConfigError instead."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum

import pulumi

from gpu_clusters.errors import ProblemId


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that a component has seen by itself and that its owner should know before paying for it.

    Attributes:
        id: from the same list as a ConfigError's.
        resource: the component it is about, as `type name`.
        problem: what is wrong, without a full stop.
        remedy: what to do about it.
    """

    id: ProblemId
    severity: Severity
    resource: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.problem}; {self.remedy} [{self.id}]"


_collector: ContextVar[list[Finding] | None] = ContextVar("findings", default=None)


@contextmanager
def collected() -> Generator[list[Finding], None, None]:
    """Collect the findings of all components built within, instead of printing them."""
    found: list[Finding] = []
    token = _collector.set(found)
    try:
        yield found
    finally:
        _collector.reset(token)


def report(
    component: pulumi.ComponentResource, problem_id: ProblemId, severity: Severity, problem: str, remedy: str
) -> None:
    """Report a finding of a component: to the collector if there is one, else in the engine's own output."""
    kind = component.pulumi_resource_type.rpartition(":")[2]
    finding = Finding(
        id=problem_id,
        severity=severity,
        resource=f"{kind} {component.pulumi_resource_name}",
        problem=problem,
        remedy=remedy,
    )
    found = _collector.get()
    text = f"{finding.resource}: {finding}"
    if found is not None:
        found.append(finding)
    elif severity is not Severity.NOTE:
        # An error here must not fail the run: what must is raised. So it is shown as a warning.
        pulumi.log.warn(text, component)
    elif pulumi.runtime.is_dry_run():
        # Notes are for who looks ahead; an update that is under way has better things to say.
        pulumi.log.info(text, component)
