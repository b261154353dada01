"""The simulated clouds, as the rehearsal meets them."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import cast

from gpu_clusters.rehearsal.packages import stand_in
from gpu_clusters.rehearsal.providers import SimulatedProvider
from gpu_clusters.rehearsal.world import World

_AWS = "gpu_clusters.rehearsal.providers.amazon"
_LIFT = "lift_deletion_protection"


def aws_provider(world: World) -> SimulatedProvider:
    """The simulated aws provider; what stands in for any unknown one where this version has none."""
    # By name: the providers' own packages are loaded only when a rehearsal begins.
    made = cast("Callable[[World], SimulatedProvider] | None", getattr(import_module(_AWS), "SimulatedAws", None))
    return made(world) if made else stand_in("aws", world.journal)


def lift_deletion_protection(provider: SimulatedProvider) -> None:
    """Let a destroy delete what the cloud would protect."""
    lift: object = getattr(provider, _LIFT, None)
    if callable(lift):
        lift()
    elif lift is not None:
        setattr(provider, _LIFT, True)
