"""A whole stack as data, and how it is read from `Pulumi.<stack>.yaml`.  No Pulumi."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeAlias, cast

from gpu_clusters._hints import field_names
from gpu_clusters._loading import load
from gpu_clusters._spec import ByKind, duplicate_problems, name_problems, spec, tree_problems
from gpu_clusters._yaml import Document, read
from gpu_clusters.eks.args import EksClusterArgs
from gpu_clusters.eks.pools import EksGpuPool
from gpu_clusters.errors import ConfigError, ConfigErrors, ProblemId
from gpu_clusters.namespaces.args import LlmNamespaceArgs, gpu_problems, tenant_name_problems
from gpu_clusters.namespaces.claims import Claim, Claims
from gpu_clusters.sandbox.args import SandboxClusterArgs
from gpu_clusters.serving.args import LlmServiceArgs
from gpu_clusters.serving.plan import plan

#: The namespace of our keys in a stack's configuration: the name of the project.
PROJECT = "gpu-clusters"


@spec
class StackSandbox(SandboxClusterArgs):
    """The cluster of a stack, in a sandbox.

    Args:
        platform: `sandbox`.
        name: the cluster's name. Default `sandbox`.
    """

    platform: Literal["sandbox"]
    name: str = "sandbox"

    def _problems(self) -> Iterator[ConfigError]:
        yield from name_problems(self.name)
        yield from SandboxClusterArgs._problems(self)


@spec
class StackEks(EksClusterArgs):
    """The cluster of a stack, on EKS.

    Args:
        platform: `eks`.
        name: the cluster's name, at AWS too.
        gpu_pools: the GPU pools, with EKS's overrides.
    """

    platform: Literal["eks"]
    name: str
    gpu_pools: Sequence[EksGpuPool] = ()

    def _problems(self) -> Iterator[ConfigError]:
        yield from name_problems(self.name)
        yield from EksClusterArgs._problems(self)


@spec
class StackNamespace(LlmNamespaceArgs):
    """A tenant of a stack.

    Args:
        name: the tenant's name, which is its namespace's.
    """

    name: str

    def _problems(self) -> Iterator[ConfigError]:
        yield from tenant_name_problems(self.name)
        yield from LlmNamespaceArgs._problems(self)


@spec
class StackService(LlmServiceArgs):
    """A service of a stack.

    Args:
        name: the service's name.
        namespace: the name of the tenant that it belongs to.
    """

    name: str
    namespace: str

    def _problems(self) -> Iterator[ConfigError]:
        yield from name_problems(self.name)
        yield from LlmServiceArgs._problems(self)


#: One member per platform; `platform` tells them apart.
StackCluster: TypeAlias = Annotated[StackEks | StackSandbox, ByKind("platform")]


@spec
class StackArgs:
    """A whole stack: the keys `cluster`, `namespaces` and `services` of project `gpu-clusters`.

    Args:
        cluster: the cluster, and on which platform it is.
        namespaces: the tenants.
        services: the LLM services.
    """

    cluster: StackCluster
    namespaces: Sequence[StackNamespace] = ()
    services: Sequence[StackService] = ()

    def _problems(self) -> Iterator[ConfigError]:
        yield from duplicate_problems([tenant.name for tenant in self.namespaces], "namespaces")
        # Logical names are the stack's, so a service's is unique in it and not only in its namespace.
        yield from duplicate_problems([service.name for service in self.services], "services")
        for index, tenant in enumerate(self.namespaces):
            for problem in gpu_problems(tenant, self.cluster.gpu_pools):
                yield problem.under(f"namespaces[{index}]")
        yield from self._service_problems()

    def _service_problems(self) -> Iterator[ConfigError]:
        claims = {tenant.name: Claims(tenant.gpus) for tenant in self.namespaces}
        is_cluster_wrong = any(tree_problems(self.cluster))
        for index, service in enumerate(self.services):
            path = f"services[{index}]"
            if service.namespace not in claims:
                known = ", ".join(claims) or "none"
                yield ConfigError(
                    f"{path}.namespace",
                    f"the stack has no namespace {service.namespace!r}: it has {known}",
                    "name one of them, or add it to `namespaces`",
                    id=ProblemId.UNKNOWN_REFERENCE,
                )
            # A plan made of figures that are wrong themselves would only add errors that aren't there.
            if is_cluster_wrong or any(tree_problems(service)):
                continue
            try:
                gpus = plan(service, self.cluster.gpu_pools).gpus
            except ConfigErrors as error:
                yield from (problem.under(path) for problem in error.errors)
                continue
            if service.namespace in claims:
                claim = Claim(service.name, service.gpu, gpus, service.replicas.most)
                yield from (problem.under(path) for problem in claims[service.namespace].problems(claim))
                claims[service.namespace].add(claim)


def load_stack(path: Path, *, instead: Mapping[str, object] | None = None) -> StackArgs:
    """Read a stack's file.

    Args:
        path: a `Pulumi.<stack>.yaml`, with the keys of StackArgs under `config`, each with the prefix `gpu-clusters:`.
            Keys of other prefixes are other providers' and are left alone.
        instead: values of such keys that count in place of the file's, where they differ from it.

    Raises:
        ConfigErrors: everything that is wrong with it, each with its line.
    """
    name = _shown(path)
    document = read(path, name)
    if instead is not None and instead != _ours(document.value):
        name, document = f"configuration of {path.name}", Document({"config": dict(instead)}, {})
    return load(StackArgs, document, name, prefix=PROJECT, ignore=("sandbox",))


def _ours(root: object) -> object:
    config = cast("dict[object, object]", root).get("config") if isinstance(root, dict) else None
    if not isinstance(config, dict):
        return {}
    entries = cast("dict[object, object]", config)
    ours = {f"{PROJECT}:{name}" for name in field_names(StackArgs)}
    return {key: value for key, value in entries.items() if key in ours}


def _shown(path: Path) -> str:
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
