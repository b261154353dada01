"""What goes wrong, as types.

    GpuClustersError
    ├── ConfigErrors      the configuration can't be used; holds every ConfigError found   exit code 2
    ├── UsageError        the command was called in a way that can't be meant              exit code 2
    └── OperationError    something that was asked for failed                              exit code 1

Each says what is wrong and what to do about it. The command line prints them without a traceback.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum


class ProblemId(StrEnum):
    """The one list of ids that a ConfigError and a Finding share.

    Stable: an id is never given to another problem. Kubernetes's own style: lower case with dashes.
    """

    INVALID_TYPE = "invalid-type"
    MISSING_FIELD = "missing-field"
    UNKNOWN_FIELD = "unknown-field"
    DUPLICATE_KEY = "duplicate-key"
    UNREADABLE_FILE = "unreadable-file"
    INVALID_VALUE = "invalid-value"
    OUT_OF_RANGE = "out-of-range"
    INVALID_NAME = "invalid-name"
    DUPLICATE_NAME = "duplicate-name"
    UNKNOWN_REFERENCE = "unknown-reference"
    UNKNOWN_GPU = "unknown-gpu"
    UNKNOWN_MODEL = "unknown-model"
    CONFLICT = "conflict"
    GPU_UNAVAILABLE = "gpu-unavailable"
    QUOTA_EXCEEDED = "quota-exceeded"
    TENSOR_PARALLEL = "tensor-parallel"
    MODEL_TOO_LARGE = "model-too-large"
    IMAGE_UNPINNED = "image-unpinned"
    REVISION_UNPINNED = "revision-unpinned"
    ROLLOUT_GAP = "rollout-gap"
    NO_AUTOSCALER = "no-autoscaler"
    CACHE_PER_POD = "cache-per-pod"
    POOL_TOO_SMALL = "pool-too-small"
    NETWORK_POLICY_NOT_ENFORCED = "network-policy-not-enforced"
    SHARED_GPU_NOT_ISOLATED = "shared-gpu-not-isolated"
    MACHINE_UNAVAILABLE = "machine-unavailable"
    ZONE_UNAVAILABLE = "zone-unavailable"
    AMI_MISMATCH = "ami-mismatch"
    NOT_IN_CATALOGUE = "not-in-catalogue"
    SPOT_NOT_DIVERSIFIED = "spot-not-diversified"
    CAPACITY_UNCERTAIN = "capacity-uncertain"
    EFA_UNUSED = "efa-unused"
    AMI_RELEASE_UNPINNED = "ami-release-unpinned"
    DISK_TOO_SMALL = "disk-too-small"
    DEVICE_PLUGIN_MISSING = "device-plugin-missing"
    ADD_ON_UNPINNED = "add-on-unpinned"
    KUBERNETES_VERSION = "kubernetes-version"
    SUBNET_TOO_SMALL = "subnet-too-small"
    NETWORK_UNCHECKED = "network-unchecked"


class GpuClustersError(Exception):
    """The root of all errors that this library raises on purpose."""

    exit_code = 1


@dataclass(frozen=True)
class ConfigError:
    """One thing that is wrong in a configuration.

    Args:
        path: where it stands, in the spelling of who wrote it: `gpu_pools[1].nodes.max`.
        problem: what is wrong, without a full stop. Field names stand in backticks.
        remedy: what to do about it.
        id: the kind of problem; stable, shared with the findings of a preview.
        file: the file it was read from, where there was one.
        line: the line in that file, from 1.
    """

    path: str
    problem: str
    remedy: str
    id: ProblemId = field(default=ProblemId.INVALID_VALUE, kw_only=True)
    file: str | None = field(default=None, kw_only=True)
    line: int | None = field(default=None, kw_only=True)

    def under(self, prefix: str) -> ConfigError:
        """The same error seen from the object that holds the one it was found in."""
        return replace(self, path=join_path(prefix, self.path))

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: " if self.file and self.line else f"{self.file}: " if self.file else ""
        where = f"{self.path}: " if self.path else ""
        return f"{place}{where}{self.problem}; {self.remedy}"


class ConfigErrors(GpuClustersError):  # noqa: N818 - it holds several
    """Every violation of a configuration at once.

    Attributes:
        errors: at least one, in the order of the fields.
    """

    exit_code = 2

    def __init__(self, errors: Iterable[ConfigError]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(str(error) for error in self.errors))


class UsageError(GpuClustersError):
    """A command or function was called in a way that can't be meant, e.g. for a stack that doesn't exist."""

    exit_code = 2

    def __init__(self, problem: str, remedy: str) -> None:
        self.problem, self.remedy = problem, remedy
        super().__init__(f"{problem}; {remedy}")


class OperationError(GpuClustersError):
    """Something that was asked for failed: a process died, a build broke, a cluster refused.

    Attributes:
        details: lines worth reading below the message, such as the end of a log.
    """

    def __init__(self, problem: str, remedy: str, details: Iterable[str] = ()) -> None:
        self.problem, self.remedy, self.details = problem, remedy, tuple(details)
        super().__init__(f"{problem}; {remedy}")


def join_path(prefix: str, path: str) -> str:
    """`gpu_pools[1]` and `nodes.max` make `gpu_pools[1].nodes.max`; an index joins without a dot."""
    if not prefix or not path:
        return prefix or path
    return f"{prefix}{path}" if path.startswith("[") else f"{prefix}.{path}"
