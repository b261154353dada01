"""Which engine runs a stack, and whether a simulated provider is attached to it."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata

from gpu_clusters.errors import OperationError
from gpu_clusters.rehearsal.engine.project import Stack
from gpu_clusters.toolchain import Located, Program, ensure
from gpu_clusters.toolchain.plugins import installed_plugin, plugin_version
from gpu_clusters.toolchain.versions import Version

_OWN_SOURCES = ("cache", "built")
_DEBUG_PROVIDERS = "PULUMI_DEBUG_PROVIDERS"


class ProviderKind(StrEnum):
    """What carries Kubernetes resources out."""

    PLUGIN = "plugin"
    SIMULATED = "simulated"


@dataclass(frozen=True)
class Engine:
    """The `pulumi` program for one stack.

    Attributes:
        program: where it is, its version, and where it was found.
        provider: what carries Kubernetes resources out.
        provider_version: the plugin's; None where the engine chooses one by itself, or for our own.
        sandbox_gone: the stack's sandbox doesn't exist any more, and what was in it neither.
    """

    program: Located
    provider: ProviderKind
    provider_version: str | None
    sandbox_gone: bool = False

    @property
    def own_home(self) -> bool:
        """Whether nothing of the user's Pulumi is needed: neither their program nor one of their plugins."""
        return self.program.source in _OWN_SOURCES and self.provider is ProviderKind.SIMULATED

    @contextmanager
    def attached(self) -> Generator[Mapping[str, str], None, None]:
        """Serve the simulated provider, if there is one; yields what the engine needs in its environment."""
        if self.provider is ProviderKind.PLUGIN:
            # What the real plugin needs to be told to give up objects of a cluster that is no more.
            yield {"PULUMI_K8S_DELETE_UNREACHABLE": "true"} if self.sandbox_gone else {}
            return
        from gpu_clusters.rehearsal.providers import serve
        from gpu_clusters.rehearsal.providers.kubernetes import SimulatedKubernetes

        with serve([SimulatedKubernetes()]) as server:
            others = os.environ.get(_DEBUG_PROVIDERS)
            yield {_DEBUG_PROVIDERS: f"{others},{server.debug_providers}" if others else server.debug_providers}


def engine_for(stack: Stack) -> Engine:
    """The engine that runs `stack`; builds it if there is none yet.

    Only a stack that runs on a sandbox is ever given a simulated provider, and only where the plugin isn't installed.

    Raises:
        OperationError: there is no engine and it can't be built.
    """
    program = ensure([Program.PULUMI])[Program.PULUMI]
    plugin = installed_plugin("kubernetes")
    version = plugin_version(plugin) if plugin else None
    if stack.sandbox is None:
        return Engine(program, ProviderKind.PLUGIN, str(version) if version else None)
    if plugin and (version is None or version >= _needed()):
        return Engine(program, ProviderKind.PLUGIN, str(version) if version else None, _is_gone(stack.sandbox))
    return Engine(program, ProviderKind.SIMULATED, metadata.version("gpu-clusters"), _is_gone(stack.sandbox))


def require_sandbox(stack: Stack, *, or_gone: bool = False) -> None:
    """See that the sandbox of a sandbox stack runs.

    Args:
        or_gone: one that doesn't exist will do, too.

    Raises:
        OperationError: it doesn't run.
    """
    if stack.sandbox is None:
        return
    from gpu_clusters.controlplane import Sandbox

    state = str(Sandbox(stack.sandbox).status().state)
    if state == "running" or (or_gone and state == "absent"):
        return
    name = "" if stack.sandbox == "default" else f" --name {stack.sandbox}"
    raise OperationError(
        f"stack {stack.name!r} runs on the sandbox {stack.sandbox!r}, which is {state}",
        f"start it with: gpu-clusters sandbox start{name}",
    )


def _is_gone(sandbox: str) -> bool:
    from gpu_clusters.controlplane import Sandbox

    return str(Sandbox(sandbox).status().state) == "absent"


def _needed() -> Version:
    """The plugin that the installed SDK asks for; with an older one the engine would look for another."""
    return Version.parse(metadata.version("pulumi-kubernetes")) or Version(0, 0, 0)
