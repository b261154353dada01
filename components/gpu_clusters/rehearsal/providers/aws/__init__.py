"""The simulated aws provider: the engine's `aws` package without AWS."""

from __future__ import annotations

from gpu_clusters.rehearsal.providers.aws.provider import SimulatedAws

__all__ = ["SimulatedAws"]
