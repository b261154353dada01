"""Serves simulated providers to the engine over gRPC, on loopback only."""

# gRPC names the methods and their parameters.
# ruff: noqa: ARG002, N802

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn, TypeVar, cast

import grpc
from google.protobuf import empty_pb2, message
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from gpu_clusters.errors import GpuClustersError, OperationError
from gpu_clusters.rehearsal.providers.interface import (
    ConfiguredProvider,
    Options,
    ResourceNotReadyError,
    SimulatedProvider,
    State,
)
from gpu_clusters.rehearsal.providers.values import from_struct, to_struct
from gpu_clusters.rehearsal.providers.wire import (
    abort_not_ready,
    checked_response,
    difference_response,
    resource_of,
    words,
)

# A worker is held by every resource that waits; Cancel must still find a free one. Threads are made when needed.
_WORKERS: Final = 1024
_NO_LIMIT: Final = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
_STOP_SECONDS: Final = 5

_Response = TypeVar("_Response")


@dataclass(frozen=True)
class ProviderServer:
    """Providers that the engine can attach to.

    Attributes:
        debug_providers: the value for `PULUMI_DEBUG_PROVIDERS`, such as `kubernetes:41234,aws:41235`.
    """

    debug_providers: str


@contextmanager
def serve(providers: Sequence[SimulatedProvider]) -> Generator[ProviderServer]:
    """Serve each provider on a free port of 127.0.0.1 until the block ends.

    However the block ends, Ctrl-C included, operations that wait are cancelled first, so it ends within seconds.

    Raises:
        OperationError: no port could be opened.
    """
    servicers: list[_Servicer] = []
    servers: list[grpc.Server] = []
    ports: list[str] = []
    try:
        for provider in providers:
            servicer = _Servicer(provider)
            server, port = _start(servicer, provider.name)
            servicers.append(servicer)
            servers.append(server)
            ports.append(f"{provider.name}:{port}")
        yield ProviderServer(",".join(ports))
    finally:
        for servicer in servicers:
            servicer.cancel_all()
        for stopped in [server.stop(_STOP_SECONDS) for server in servers]:
            stopped.wait(_STOP_SECONDS)


def _start(servicer: _Servicer, name: str) -> tuple[grpc.Server, int]:
    workers = ThreadPoolExecutor(max_workers=_WORKERS, thread_name_prefix=f"simulated-{name}")
    # Without so_reuseport a port is ours alone: no other process can be handed our engine's calls.
    server = grpc.server(workers, options=[*_NO_LIMIT, ("grpc.so_reuseport", 0)])
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    try:
        port = server.add_insecure_port("127.0.0.1:0")
    except RuntimeError as error:
        raise OperationError(
            f"the simulated {name} provider can't open a port on 127.0.0.1: {error}",
            "check that loopback is up and that this process may open sockets",
        ) from error
    server.start()
    return server, port


class _Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """One provider on the wire.

    The engine opens one connection for each provider resource of a program (a default one and explicit ones) and never
    says which of them a call is for, so that what `Configure` was told is kept by connection.
    """

    def __init__(self, provider: SimulatedProvider) -> None:
        self._provider = provider
        self._configured: dict[str, ConfiguredProvider] = {}
        self._lock = threading.Lock()

    def cancel_all(self) -> None:
        with self._lock:
            configured = list(self._configured.values())
        for provider in configured:
            provider.cancel()

    def Handshake(
        self, request: provider_pb2.ProviderHandshakeRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ProviderHandshakeResponse:
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, accept_resources=True, accept_outputs=True)

    def GetPluginInfo(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        return plugin_pb2.PluginInfo(version=self._provider.version)

    def Attach(self, request: plugin_pb2.PluginAttach, context: grpc.ServicerContext) -> empty_pb2.Empty:
        return empty_pb2.Empty()

    def CheckConfig(
        self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CheckResponse:
        return self._answer(context, lambda: checked_response(self._provider.check_config(from_struct(request.news))))

    def DiffConfig(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        old = request.old_inputs if request.HasField("old_inputs") else request.olds
        return self._answer(
            context,
            lambda: difference_response(self._provider.diff_config(from_struct(old), from_struct(request.news))),
        )

    def Configure(
        self, request: provider_pb2.ConfigureRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ConfigureResponse:
        def configure() -> provider_pb2.ConfigureResponse:
            configured = self._provider.configure(from_struct(request.args))
            with self._lock:
                self._configured[context.peer()] = configured
            return provider_pb2.ConfigureResponse(
                acceptSecrets=True, supportsPreview=True, acceptResources=True, acceptOutputs=True
            )

        return self._answer(context, configure)

    def Check(self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext) -> provider_pb2.CheckResponse:
        def check() -> provider_pb2.CheckResponse:
            old = from_struct(request.olds) if request.HasField("olds") and request.olds.fields else None
            return checked_response(self._at(context).check(resource_of(request.urn), old, from_struct(request.news)))

        return self._answer(context, check)

    def Diff(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        def diff() -> provider_pb2.DiffResponse:
            state = State(request.id, from_struct(request.olds), from_struct(request.old_inputs))
            return difference_response(
                self._at(context).diff(resource_of(request.urn), state, from_struct(request.news))
            )

        return self._answer(context, diff)

    def Create(self, request: provider_pb2.CreateRequest, context: grpc.ServicerContext) -> provider_pb2.CreateResponse:
        def create() -> provider_pb2.CreateResponse:
            options = Options(request.timeout, request.preview)
            state = self._at(context).create(resource_of(request.urn), from_struct(request.properties), options)
            return provider_pb2.CreateResponse(id=state.id, properties=to_struct(state.outputs))

        return self._answer(context, create)

    def Read(self, request: provider_pb2.ReadRequest, context: grpc.ServicerContext) -> provider_pb2.ReadResponse:
        def read() -> provider_pb2.ReadResponse:
            old = State(request.id, from_struct(request.properties), from_struct(request.inputs))
            state = self._at(context).read(resource_of(request.urn), old)
            if not state.id:
                return provider_pb2.ReadResponse()
            return provider_pb2.ReadResponse(
                id=state.id, properties=to_struct(state.outputs), inputs=to_struct(state.inputs)
            )

        return self._answer(context, read)

    def Update(self, request: provider_pb2.UpdateRequest, context: grpc.ServicerContext) -> provider_pb2.UpdateResponse:
        def update() -> provider_pb2.UpdateResponse:
            old = State(request.id, from_struct(request.olds), from_struct(request.old_inputs))
            options = Options(request.timeout, request.preview, tuple(request.ignoreChanges))
            new = from_struct(request.news)
            return provider_pb2.UpdateResponse(
                properties=to_struct(self._at(context).update(resource_of(request.urn), old, new, options).outputs)
            )

        return self._answer(context, update)

    def Delete(self, request: provider_pb2.DeleteRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        def delete() -> empty_pb2.Empty:
            old = State(request.id, from_struct(request.properties), from_struct(request.old_inputs))
            self._at(context).delete(resource_of(request.urn), old, Options(request.timeout))
            return empty_pb2.Empty()

        return self._answer(context, delete)

    def Invoke(self, request: provider_pb2.InvokeRequest, context: grpc.ServicerContext) -> provider_pb2.InvokeResponse:
        def invoke() -> provider_pb2.InvokeResponse:
            result = self._at(context).invoke(request.tok, from_struct(request.args))
            response = provider_pb2.InvokeResponse()
            cast(message.Message, getattr(response, "return")).CopyFrom(to_struct(result))
            return response

        return self._answer(context, invoke)

    def Cancel(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:
        # The engine cancels its connections one by one: all of them when a run has to end, and a single one when its
        # provider resource is deleted while others still work.
        with self._lock:
            found = self._found(context)
        if found is not None:
            found.cancel()
        return empty_pb2.Empty()

    def Call(self, request: provider_pb2.CallRequest, context: grpc.ServicerContext) -> provider_pb2.CallResponse:
        self._unsupported(context, f"the method {request.tok}")

    def Construct(
        self, request: provider_pb2.ConstructRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ConstructResponse:
        self._unsupported(context, f"the component {request.type}")

    def _unsupported(self, context: grpc.ServicerContext, what: str) -> NoReturn:
        context.abort(
            grpc.StatusCode.UNIMPLEMENTED,
            f"the simulated {self._provider.name} provider has no {what.removeprefix('the ')}; "
            "use resources, or bring the stack up with the real provider",
        )

    def _at(self, context: grpc.ServicerContext) -> ConfiguredProvider:
        with self._lock:
            found = self._found(context)
        if found is None:
            raise OperationError(
                f"the simulated {self._provider.name} provider was called before it was configured",
                "run the command again",
            )
        return found

    def _found(self, context: grpc.ServicerContext) -> ConfiguredProvider | None:
        found = self._configured.get(context.peer())
        if found is None and len(self._configured) == 1:
            # The engine's connection was lost and made anew; there is only one that it can be.
            return next(iter(self._configured.values()))
        return found

    def _answer(self, context: grpc.ServicerContext, work: Callable[[], _Response]) -> _Response:
        """Do the work, and put what goes wrong in words: no traceback reaches the engine's output."""
        try:
            return work()
        except ResourceNotReadyError as error:
            abort_not_ready(context, error)
        except GpuClustersError as error:
            context.abort(grpc.StatusCode.UNKNOWN, words(error))
        except Exception as error:
            context.abort(grpc.StatusCode.INTERNAL, self._bug(error))

    def _bug(self, error: Exception) -> str:
        frame = traceback.extract_tb(error.__traceback__ or sys.exc_info()[2])[-1]
        return (
            f"the simulated {self._provider.name} provider failed: {type(error).__name__}: {error} "
            f"({Path(frame.filename).name}:{frame.lineno}); this is a bug of gpu-clusters, please report it"
        )
