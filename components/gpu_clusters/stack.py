"""From StackArgs to components: the only place that tells platforms apart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pulumi
import yaml

from gpu_clusters._hints import field_names
from gpu_clusters.cluster import Cluster
from gpu_clusters.config import PROJECT, StackArgs, StackEks, StackSandbox, load_stack
from gpu_clusters.errors import GpuClustersError, UsageError
from gpu_clusters.namespaces.namespace import LlmNamespace
from gpu_clusters.sandbox.cluster import SandboxCluster
from gpu_clusters.serving.service import LlmService


@dataclass(frozen=True, slots=True)
class Stack:
    """The components of a stack, each by its name."""

    cluster: Cluster
    namespaces: dict[str, LlmNamespace]
    services: dict[str, LlmService]


def build(args: StackArgs) -> Stack:
    """Make the components of a stack."""
    match args.cluster:
        case StackSandbox() as sandbox:
            cluster: Cluster = SandboxCluster(sandbox.name, sandbox)
        case StackEks() as eks:
            # AWS's SDK is an extra, and takes seconds to load.
            from gpu_clusters.eks.cluster import EksCluster

            cluster = EksCluster(eks.name, eks)
    namespaces = {tenant.name: LlmNamespace(tenant.name, tenant, cluster=cluster) for tenant in args.namespaces}
    services = {
        service.name: LlmService(service.name, service, namespace=namespaces[service.namespace])
        for service in args.services
    }
    return Stack(cluster, namespaces, services)


def main() -> None:
    """The program of the runnable project: bring up what the stack's configuration says.

    Exports `namespaces`, the tenants' names, and `urls`, the base URL of each service by its name.

    Raises:
        RunError: what is wrong with the configuration, or keeps it from being brought up; the engine shows such an
            error without a traceback.
    """
    try:
        stack = build(_configuration(pulumi.get_stack()))
    except GpuClustersError as error:
        raise pulumi.RunError(str(error)) from error
    pulumi.export("namespaces", sorted(stack.namespaces))
    pulumi.export("urls", {name: service.url for name, service in stack.services.items()})


def _configuration(stack: str) -> StackArgs:
    """What the engine has, which is what the stack's file says unless somebody passed another one."""
    config = pulumi.Config(PROJECT)
    values = {name: config.get_object(name) for name in field_names(StackArgs)}
    given = {f"{PROJECT}:{name}": value for name, value in values.items() if value is not None}
    path = stack_file(Path.cwd(), stack)
    return load_stack(path, instead=given)


def stack_file(project: Path, stack: str) -> Path:
    """The file of a stack, in the folder that the project's Pulumi.yaml names for them.

    Raises:
        UsageError: there is none.
    """
    settings = yaml.safe_load((project / "Pulumi.yaml").read_text("utf-8"))
    # A stack of Pulumi Cloud may be called `organisation/project/stack`.
    path = project / (settings.get("stackConfigDir") or ".") / f"Pulumi.{stack.rpartition('/')[2]}.yaml"
    if not path.is_file():
        raise UsageError(f"stack {stack!r} has no file {path}", "write one, or name another stack")
    return path
