"""What the services of a tenant claim of its quota, so that the sum is checked before anything is made.  No Pulumi."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gpu_clusters.errors import ConfigError, ProblemId
from gpu_clusters.gpus import Gpu


@dataclass(frozen=True, slots=True)
class Claim:
    """What one service takes when it is at its largest.

    Attributes:
        gpus_per_replica: units of the GPU's resource that one replica asks for.
        replicas: the most replicas it may have.
    """

    service: str
    gpu: Gpu
    gpus_per_replica: int
    replicas: int

    @property
    def gpus(self) -> int:
        return self.gpus_per_replica * self.replicas


class Claims:
    """The claims of one tenant's services on its quota of GPUs."""

    def __init__(self, gpus: Mapping[Gpu, int]) -> None:
        self._quota = dict(gpus)
        self._claims: list[Claim] = []

    def problems(self, claim: Claim, path: str = "replicas") -> Iterator[ConfigError]:
        """Why the quota can't hold this claim beside those that were made before it."""
        has = self._quota.get(claim.gpu, 0)
        others = self.claimed(claim.gpu)
        if others + claim.gpus > has:
            beside = f", beside {others} of the tenant's other services," if others else ""
            yield ConfigError(
                path,
                f"{claim.replicas} x {claim.gpus_per_replica} {claim.gpu.facts.name}{beside} "
                f"exceed the tenant's quota of {has}",
                f"raise the tenant's `gpus` for {claim.gpu.value} to {others + claim.gpus}, or lower the replicas",
                id=ProblemId.QUOTA_EXCEEDED,
            )

    def add(self, claim: Claim) -> None:
        """Take a claim into account for those that come after it."""
        self._claims.append(claim)

    def claimed(self, gpu: Gpu) -> int:
        """GPUs of that model that all claims so far take together."""
        return sum(claim.gpus for claim in self._claims if claim.gpu is gpu)

    def spare(self, gpu: Gpu) -> int:
        """GPUs of that model in the quota that no claim takes; a roll-out may use them."""
        return self._quota.get(gpu, 0) - self.claimed(gpu)
