"""Our answers and errors as the engine's messages."""

from __future__ import annotations

from typing import Final, NoReturn, cast

import grpc
from google.protobuf import any_pb2
from pulumi.runtime.proto import provider_pb2, status_pb2

from gpu_clusters.errors import GpuClustersError, OperationError
from gpu_clusters.rehearsal.providers.diffing import parse_path
from gpu_clusters.rehearsal.providers.interface import Change, Checked, Difference, Resource, ResourceNotReadyError
from gpu_clusters.rehearsal.providers.values import to_struct

_KINDS: Final = {
    (Change.ADD, False): provider_pb2.PropertyDiff.ADD,
    (Change.ADD, True): provider_pb2.PropertyDiff.ADD_REPLACE,
    (Change.UPDATE, False): provider_pb2.PropertyDiff.UPDATE,
    (Change.UPDATE, True): provider_pb2.PropertyDiff.UPDATE_REPLACE,
    (Change.DELETE, False): provider_pb2.PropertyDiff.DELETE,
    (Change.DELETE, True): provider_pb2.PropertyDiff.DELETE_REPLACE,
}


def abort_not_ready(context: grpc.ServicerContext, error: ResourceNotReadyError) -> NoReturn:
    """Tell the engine to record the resource although it isn't ready."""
    detail = any_pb2.Any()
    detail.Pack(
        provider_pb2.ErrorResourceInitFailed(
            id=error.state.id,
            properties=to_struct(error.state.outputs),
            inputs=to_struct(error.state.inputs),
            reasons=[str(error), *error.details],
        )
    )
    code = grpc.StatusCode.UNKNOWN
    status = status_pb2.Status(code=cast(int, code.value[0]), message=str(error), details=[detail])
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(code, str(error))


def words(error: GpuClustersError) -> str:
    """An error with its details, as the engine prints it."""
    details = error.details if isinstance(error, OperationError) else ()
    return "\n".join([str(error), *(f"  {line}" for line in details)])


def resource_of(urn: str) -> Resource:
    """Take a URN apart: `urn:pulumi:stack::project::parent$type::name`; the name may hold `::` itself."""
    _, _, types, name = urn.split("::", 3)
    return Resource(urn, types.rpartition("$")[2], name)


def checked_response(checked: Checked) -> provider_pb2.CheckResponse:
    """The answer to a check."""
    failures = [provider_pb2.CheckFailure(property=item.property, reason=item.reason) for item in checked.failures]
    return provider_pb2.CheckResponse(inputs=to_struct(checked.inputs), failures=failures)


def difference_response(difference: Difference) -> provider_pb2.DiffResponse:
    """The answer to a diff."""
    changes = difference.changes
    some = provider_pb2.DiffResponse.DIFF_SOME if changes else provider_pb2.DiffResponse.DIFF_NONE
    return provider_pb2.DiffResponse(
        changes=some,
        diffs=list(dict.fromkeys(str(parse_path(path)[0]) for path in changes)),
        replaces=[path for path, item in changes.items() if item.replaces],
        deleteBeforeReplace=difference.delete_before_replace,
        detailedDiff={
            path: provider_pb2.PropertyDiff(kind=_KINDS[item.change, item.replaces], inputDiff=True)
            for path, item in changes.items()
        },
        hasDetailedDiff=True,
    )
