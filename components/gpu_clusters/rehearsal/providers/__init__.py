"""Simulated providers: what the engine attaches to in place of a plugin, for sandbox stacks and rehearsals only.

A provider implements `SimulatedProvider`; `serve` puts it on gRPC, and the engine finds it through the environment
variable `PULUMI_DEBUG_PROVIDERS`.
"""

from __future__ import annotations

from gpu_clusters.rehearsal.providers.interface import (
    Change,
    Checked,
    CheckFailure,
    ConfiguredProvider,
    Difference,
    Options,
    PropertyChange,
    Resource,
    ResourceNotReadyError,
    SimulatedProvider,
    State,
)
from gpu_clusters.rehearsal.providers.server import ProviderServer, serve
from gpu_clusters.rehearsal.providers.values import UNKNOWN, Properties, Secret, Tagged, Unknown, Value

__all__ = [
    "UNKNOWN",
    "Change",
    "CheckFailure",
    "Checked",
    "ConfiguredProvider",
    "Difference",
    "Options",
    "Properties",
    "PropertyChange",
    "ProviderServer",
    "Resource",
    "ResourceNotReadyError",
    "Secret",
    "SimulatedProvider",
    "State",
    "Tagged",
    "Unknown",
    "Value",
    "serve",
]
