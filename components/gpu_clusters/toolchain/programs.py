"""The programs, one row each: which version is built, how, and which others will do.

A new program is a member of `Program`, a row here, and, unless it shares a module, a folder in `modules/`.
"""

from __future__ import annotations

import hashlib
import platform
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from gpu_clusters.toolchain.versions import Question, Version

MODULES: Final = Path(__file__).parent / "modules"
_STRIPPED: Final = ("-s", "-w")
_PULUMI_VERSION_VARIABLE: Final = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"
_HELM_VERSION_VARIABLE: Final = "helm.sh/helm/v3/internal/version.version"
_KUBERNETES_VERSION_PACKAGE: Final = "k8s.io/component-base/version"


class Program(StrEnum):
    """A program that this library runs; the value is the name of its file."""

    PULUMI = "pulumi"
    ETCD = "etcd"
    KUBE_APISERVER = "kube-apiserver"
    KUBE_CONTROLLER_MANAGER = "kube-controller-manager"
    KUBE_SCHEDULER = "kube-scheduler"
    KUBECTL = "kubectl"
    KWOK = "kwok"
    HELM = "helm"

    @property
    def variable(self) -> str:
        """The environment variable that names the program's file and overrides every other place."""
        return f"GPU_CLUSTERS_{self.value.upper().replace('-', '_')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How one program is built, and which versions of it will do.

    Args:
        version: the version that is built; go.mod pins the same.
        module: the folder in `modules/` with its go.mod and go.sum.
        package: the Go package of its `main`.
        question: how it is asked for its version.
        minimum: the oldest version that will do.
        reason: why no older one will do.
        ldflags: for the linker, beyond those that strip.
        tags: build tags.
        kubernetes_skew: for a part of Kubernetes: by how many minor versions it may differ from the API server's.
        base: whether the engine or the sandbox can't do without it.
    """

    version: Version
    module: str
    package: str
    question: Question
    minimum: Version
    reason: str
    ldflags: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    kubernetes_skew: int | None = None
    base: bool = True

    @property
    def directory(self) -> Path:
        """The folder of its go.mod and go.sum."""
        return MODULES / self.module

    @property
    def arguments(self) -> tuple[str, ...]:
        """What `go build` is told, without where the program goes."""
        tags = ("-tags", ",".join(self.tags)) if self.tags else ()
        return (*tags, "-ldflags", " ".join((*_STRIPPED, *self.ldflags)), self.package)

    @property
    def pin(self) -> str:
        """A short hash of all that decides what is built: modules, checksums, flags, system and processor."""
        digest = hashlib.sha256()
        for name in ("go.mod", "go.sum"):
            digest.update((self.directory / name).read_bytes())
        digest.update("\0".join((*self.arguments, sys.platform, platform.machine())).encode())
        return digest.hexdigest()[:12]


KUBERNETES: Final = Version(1, 36, 3)


def _kubernetes(name: str, *, question: Question, skew: int) -> Recipe:
    flags = {"gitVersion": f"v{KUBERNETES}", "gitMajor": str(KUBERNETES.major), "gitMinor": str(KUBERNETES.minor)}
    return Recipe(
        version=KUBERNETES,
        module="kubernetes",
        package=f"k8s.io/kubernetes/cmd/{name}",
        question=question,
        minimum=Version(1, 30, 0),
        # https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/
        reason="ValidatingAdmissionPolicy is v1 from there on",
        ldflags=tuple(f"-X {_KUBERNETES_VERSION_PACKAGE}.{key}={value}" for key, value in flags.items()),
        kubernetes_skew=skew,
    )


_KUBERNETES_QUESTION: Final = Question(("--version",), "Kubernetes v")
_PULUMI: Final = Version(3, 246, 0)
_HELM: Final = Version(3, 22, 0)

#: In the order in which they are built: those of one module follow each other and share what Go has compiled.
RECIPES: Final[dict[Program, Recipe]] = {
    Program.ETCD: Recipe(
        version=Version(3, 7, 3),
        module="etcd",
        package="go.etcd.io/etcd/server/v3",
        question=Question(("--version",), "etcd Version: "),
        # MinExternalEtcdVersion in k8s.io/kubernetes v1.36.3, cmd/kubeadm/app/constants/constants.go.
        minimum=Version(3, 5, 24),
        reason="it is the oldest that kubeadm takes for Kubernetes 1.36",
    ),
    # Controller manager and scheduler may not be newer than the API server
    # (https://kubernetes.io/releases/version-skew-policy/), so the three are of one minor version.
    Program.KUBE_APISERVER: _kubernetes("kube-apiserver", question=_KUBERNETES_QUESTION, skew=0),
    Program.KUBE_CONTROLLER_MANAGER: _kubernetes("kube-controller-manager", question=_KUBERNETES_QUESTION, skew=0),
    Program.KUBE_SCHEDULER: _kubernetes("kube-scheduler", question=_KUBERNETES_QUESTION, skew=0),
    Program.KUBECTL: _kubernetes("kubectl", question=Question(("version", "--client"), "Client Version: v"), skew=1),
    Program.KWOK: Recipe(
        version=Version(0, 8, 0),
        module="kwok",
        package="sigs.k8s.io/kwok/cmd/kwok",
        question=Question(("--version",), "kwok version v"),
        minimum=Version(0, 8, 0),
        reason="the sandbox's stages are written for it",
    ),
    Program.PULUMI: Recipe(
        version=_PULUMI,
        module="pulumi",
        package="github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
        question=Question(("version",), "v"),
        minimum=Version(3, 238, 0),
        reason="`--skip-plugin-pre-install` came with it, which keeps it from asking for plugins that nobody uses",
        ldflags=(f"-X {_PULUMI_VERSION_VARIABLE}=v{_PULUMI}",),
        tags=("osusergo", "grpcnotrace"),
    ),
    # Helm 3, not 4, since pulumi-kubernetes itself renders with Helm 3 (pulumi/pulumi-kubernetes#4190).
    Program.HELM: Recipe(
        version=_HELM,
        module="helm",
        package="helm.sh/helm/v3/cmd/helm",
        question=Question(("version", "--template", "{{.Version}}"), "v"),
        minimum=Version(3, 6, 0),
        reason="`helm template --kube-version` came with it (helm/helm#9040)",
        ldflags=(f"-X {_HELM_VERSION_VARIABLE}=v{_HELM}",),
        base=False,
    ),
}

#: What the engine and the sandbox can't do without.
BASE: Final = tuple(program for program, recipe in RECIPES.items() if recipe.base)
