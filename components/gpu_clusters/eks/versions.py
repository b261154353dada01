"""Kubernetes versions that EKS has, and the add-on versions that go with them.  No Pulumi."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from gpu_clusters import data
from gpu_clusters.errors import ConfigError, ProblemId


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesVersion:
    """A minor version of Kubernetes on EKS: a row of `data/eks_versions.csv`.

    Attributes:
        version: e.g. `1.35`.
        end_of_standard_support: then a cluster costs more per hour, or AWS upgrades it.
        end_of_extended_support: then AWS upgrades it in any case.
    """

    version: str
    end_of_standard_support: date
    end_of_extended_support: date


def kubernetes_versions() -> tuple[KubernetesVersion, ...]:
    """The versions that the library knows, newest first."""
    return tuple(
        KubernetesVersion(
            version=row["version"],
            end_of_standard_support=date.fromisoformat(row["end_of_standard_support"]),
            end_of_extended_support=date.fromisoformat(row["end_of_extended_support"]),
        )
        for row in data.rows("eks_versions")
    )


def known_version(version: str) -> KubernetesVersion | None:
    """The facts of a version; None for one that is newer than the library."""
    return next((known for known in kubernetes_versions() if known.version == version), None)


def add_on_version(add_on: str, kubernetes_version: str) -> str | None:
    """The add-on version of `data/eks_addons.csv` for a Kubernetes version; None where no source gives one."""
    for row in data.rows("eks_addons"):
        if (row["add_on"], row["kubernetes_version"]) == (add_on, kubernetes_version):
            return row["version"]
    return None


def version_problems(version: str, path: str = "kubernetes_version") -> Iterator[ConfigError]:
    """A version that EKS can't have. One that is newer than the library may be there by now, and is let through."""
    known = [item.version for item in kubernetes_versions()]
    if not re.fullmatch(r"1\.\d+", version):
        yield ConfigError(path, f"{version!r} is not a minor version of Kubernetes", f"use one such as {known[0]!r}")
    elif _minor(version) < _minor(known[-1]):
        yield ConfigError(
            path,
            f"EKS no longer has Kubernetes {version}",
            f"use one of {', '.join(known)}",
            id=ProblemId.KUBERNETES_VERSION,
        )


def _minor(version: str) -> int:
    return int(version.partition(".")[2])
