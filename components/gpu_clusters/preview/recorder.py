"""Run a program under a recording monitor: what would it make, and what do its components have to say about it?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, cast

import pulumi
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime import mocks, rpc, settings, stack
from pulumi.runtime.proto import resource_pb2

from gpu_clusters.findings import Finding, collected

#: What stands for a value that only an engine would know, and for one that must not be shown.
UNKNOWN: Final = "[unknown]"
SECRET: Final = "[secret]"  # noqa: S105 - what is shown in place of one

Json: TypeAlias = "bool | float | str | list[Json] | dict[str, Json] | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedResource:
    """A resource as the program registered it.

    Attributes:
        urn: as the engine would form it.
        type: e.g. `kubernetes:core/v1:Namespace`.
        name: its logical name.
        custom: whether a provider manages it; components aren't.
        inputs: by their names at the provider; unknown values and secrets are `UNKNOWN` and `SECRET`.
        parent: URN; empty for the stack's own.
        provider: reference of an explicit provider; empty for the default one.
        dependencies: URNs.
        protect: whether the engine would refuse to delete it.
        ignore_changes: properties whose changes it would ignore.
    """

    urn: str
    type: str
    name: str
    custom: bool
    inputs: dict[str, Json]
    parent: str
    provider: str
    dependencies: tuple[str, ...]
    protect: bool
    ignore_changes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What a program would make.

    Attributes:
        resources: in the order in which they were registered.
        findings: what its components reported.
        outputs: what it exports.
    """

    resources: tuple[RecordedResource, ...]
    findings: tuple[Finding, ...]
    outputs: dict[str, Json] = field(default_factory=dict[str, Json])

    def of_type(self, type_: str) -> tuple[RecordedResource, ...]:
        """The resources of one type."""
        return tuple(resource for resource in self.resources if resource.type == type_)


def record(
    program: Callable[[], None],
    *,
    project: str = "gpu-clusters",
    stack_name: str = "preview",
    config: Mapping[str, str] | None = None,
) -> Recording:
    """Run a program and record what it registers. No engine, provider or network takes part.

    Args:
        program: what `__main__.py` would do.
        config: the stack's configuration, each key with its prefix.

    Raises:
        Whatever the program raises.
    """
    monitor = _Recorder(_Echo())
    # The SDK binds what it makes to the thread's event loop, from `set_mocks` on.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        mocks.set_mocks(monitor.mocks, project=project, stack=stack_name, preview=True, monitor=monitor)
        # `set_mocks` makes a root stack of its own, for tests; the program's run makes the one that counts.
        settings.set_root_resource(cast("Any", None))
        pulumi.runtime.set_all_config(dict(config or {}))
        with collected() as findings:
            loop.run_until_complete(stack.run_in_stack(program))
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    return Recording(resources=tuple(monitor.recorded), findings=tuple(findings), outputs=monitor.outputs)


class _Echo(mocks.Mocks):
    """Answers with the inputs: what a provider would add stays unknown."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        return None, dict(cast("dict[Any, Any]", args.inputs))  # pyright: ignore[reportUnknownMemberType]

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        return {}, [("", f"{args.token} asks a provider, and a preview has none")]


class _Recorder(mocks.MockMonitor):
    def __init__(self, answers: mocks.Mocks) -> None:
        super().__init__(answers)
        self.recorded: list[RecordedResource] = []
        self.outputs: dict[str, Json] = {}

    def RegisterResource(self, request: resource_pb2.RegisterResourceRequest) -> Any:  # noqa: N802 - gRPC's name
        response = super().RegisterResource(request)  # pyright: ignore[reportUnknownMemberType]
        if request.type != "pulumi:pulumi:Stack":
            self.recorded.append(
                RecordedResource(
                    urn=response.urn,
                    type=request.type,
                    name=request.name,
                    custom=request.custom,
                    inputs=_plain(request.object),
                    parent=request.parent if "pulumi:pulumi:Stack" not in request.parent.split("::")[2:3] else "",
                    provider=request.provider,
                    dependencies=tuple(request.dependencies),
                    protect=request.protect,
                    ignore_changes=tuple(request.ignoreChanges),
                )
            )
        return response

    def RegisterResourceOutputs(self, request: resource_pb2.RegisterResourceOutputsRequest) -> Any:  # noqa: N802
        if request.urn.split("::")[2] == "pulumi:pulumi:Stack":
            self.outputs = _plain(request.outputs)
        return empty_pb2.Empty()


def _plain(properties: struct_pb2.Struct) -> dict[str, Json]:
    return {key: _readable(value) for key, value in json_format.MessageToDict(properties).items()}


def _readable(value: Json) -> Json:
    """A property value as people read it: without the wire format's markers."""
    if value == rpc.UNKNOWN:
        return UNKNOWN
    if isinstance(value, list):
        return [_readable(item) for item in value]
    if isinstance(value, dict):
        signature = value.get(rpc._special_sig_key)  # pyright: ignore[reportPrivateUsage]
        if signature == rpc._special_secret_sig:  # pyright: ignore[reportPrivateUsage]
            return SECRET
        return {key: _readable(item) for key, item in value.items()}
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
