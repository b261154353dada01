"""Priorities of workloads: one list for the cluster that makes them and the services that name them.  No Pulumi."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Priority = Literal["serving-prod", "serving-dev", "batch"]


@dataclass(frozen=True, slots=True)
class PriorityFacts:
    """A PriorityClass of the cluster; pods with a higher value are scheduled first."""

    value: int
    preemption: Literal["PreemptLowerPriority", "Never"]
    description: str


#: Serving goes before development and that before batch, which never pushes anything else off a node.
PRIORITIES: dict[Priority, PriorityFacts] = {
    "serving-prod": PriorityFacts(100_000, "PreemptLowerPriority", "LLM services that users wait for"),
    "serving-dev": PriorityFacts(10_000, "PreemptLowerPriority", "LLM services under development"),
    "batch": PriorityFacts(1_000, "Never", "jobs that wait for free GPUs and never preempt"),
}
