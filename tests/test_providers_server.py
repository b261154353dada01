"""The gRPC base of all simulated providers, as the engine sees it."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Sequence
from typing import Protocol, TypeVar, cast

import grpc
import pytest
from google.protobuf import empty_pb2
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from gpu_clusters.errors import OperationError
from gpu_clusters.rehearsal.providers import (
    Change,
    Checked,
    CheckFailure,
    ConfiguredProvider,
    Difference,
    Options,
    Properties,
    PropertyChange,
    Resource,
    ResourceNotReadyError,
    Secret,
    State,
    serve,
)
from gpu_clusters.rehearsal.providers.values import from_struct, to_struct
from pulumi.runtime.proto import plugin_pb2, provider_pb2, status_pb2

_Response = TypeVar("_Response", bound=Message)

URN = "urn:pulumi:dev::project::my:component:Thing$toy:index:Toy::a::b"


class Toys:
    """A configured provider whose resources do as their names say."""

    def __init__(self, colour: str) -> None:
        self.colour = colour
        self.cancelled = threading.Event()

    def check(self, resource: Resource, old: Properties | None, new: Properties) -> Checked:
        assert resource == Resource(URN, "toy:index:Toy", "a::b")
        return Checked({**new, "old": old is not None}, [CheckFailure("size", "too big")])

    def diff(self, resource: Resource, state: State, new: Properties) -> Difference:
        assert (resource.name, state.inputs, new) == ("a::b", {"a": 1}, {"a": 2})
        return Difference({'x["y.z"]': PropertyChange(Change.UPDATE, replaces=True)}, delete_before_replace=True)

    def create(self, resource: Resource, inputs: Properties, options: Options) -> State:
        assert resource.urn == URN
        match inputs.get("do"):
            case "refuse":
                raise OperationError("it is refused", "ask again", ["because"])
            case "stay unready":
                raise ResourceNotReadyError(State("id", {"half": True}, inputs), "not ready", "wait", ["slow"])
            case "break":
                raise KeyError("inner")
            case "wait":
                self.cancelled.wait(30)
                raise OperationError("cancelled", "run it again")
            case _:
                return State("id", {"colour": self.colour, "secret": Secret("s"), "preview": options.preview})

    def read(self, resource: Resource, state: State) -> State:
        return State("", {}) if resource and state.id == "gone" else state

    def update(self, resource: Resource, state: State, new: Properties, options: Options) -> State:
        return State(state.id, {**new, "ignored": list(options.ignore_changes), "for": resource.name})

    def delete(self, resource: Resource, state: State, options: Options) -> None:
        raise OperationError(f"{resource.name} {state.id} stays for {options.timeout:g} s", "wait")

    def invoke(self, token: str, arguments: Properties) -> Properties:
        return {"token": token, **arguments}

    def cancel(self) -> None:
        self.cancelled.set()


class ToyProvider:
    name = "toy"
    version = "1.2.3"

    def check_config(self, inputs: Properties) -> Checked:
        return Checked(inputs)

    def diff_config(self, old: Properties, new: Properties) -> Difference:
        return Difference({"colour": PropertyChange(Change.ADD)} if old != new else {})

    def configure(self, inputs: Properties) -> ConfiguredProvider:
        return Toys(str(inputs["colour"]))


@pytest.fixture
def address() -> Generator[str]:
    with serve([ToyProvider()]) as server:
        name, port = server.debug_providers.split(":")
        assert name == "toy"
        yield f"127.0.0.1:{port}"


class Engine:
    """One connection, as each provider of the engine has."""

    def __init__(self, address: str, colour: str = "red") -> None:
        # Without this, the connections of one process to one address are shared.
        self._channel = grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
        if colour:
            request = provider_pb2.ConfigureRequest(args=to_struct({"colour": colour}))
            response = self.call("Configure", request, provider_pb2.ConfigureResponse)
            assert (response.acceptSecrets, response.supportsPreview, response.acceptResources) == (True, True, True)

    def call(self, method: str, request: Message, response: type[_Response]) -> _Response:
        path = f"/pulumirpc.ResourceProvider/{method}"
        return self._channel.unary_unary(path, type(request).SerializeToString, response.FromString)(
            request, timeout=20
        )

    def create(self, do: str = "") -> provider_pb2.CreateResponse:
        request = provider_pb2.CreateRequest(urn=URN, properties=to_struct({"do": do}))
        return self.call("Create", request, provider_pb2.CreateResponse)

    def refusal(self, do: str) -> RpcError:
        with pytest.raises(grpc.RpcError) as caught:
            self.create(do)
        return cast(RpcError, caught.value)


class RpcError(Protocol):
    """What grpc's errors are, which its types don't say."""

    def details(self) -> str: ...

    def trailing_metadata(self) -> Sequence[tuple[str, bytes]]: ...


def test_every_connection_keeps_its_own_configuration(address: str) -> None:
    red, blue = Engine(address, "red"), Engine(address, "blue")
    assert from_struct(red.create().properties)["colour"] == "red"
    assert from_struct(blue.create().properties)["colour"] == "blue"


def test_requests_and_answers_carry_everything(address: str) -> None:
    engine = Engine(address)
    old, new = to_struct({"a": 1}), to_struct({"a": 2})
    assert engine.call("GetPluginInfo", empty_pb2.Empty(), plugin_pb2.PluginInfo).version == "1.2.3"
    shake = provider_pb2.ProviderHandshakeRequest()
    assert engine.call("Handshake", shake, provider_pb2.ProviderHandshakeResponse).accept_secrets
    checked = engine.call("Check", provider_pb2.CheckRequest(urn=URN, news=old), provider_pb2.CheckResponse)
    assert from_struct(checked.inputs) == {"a": 1, "old": False}
    assert [(failure.property, failure.reason) for failure in checked.failures] == [("size", "too big")]
    request = provider_pb2.DiffRequest(urn=URN, olds=new, old_inputs=old, news=new)
    diff = engine.call("Diff", request, provider_pb2.DiffResponse)
    assert (diff.changes, list(diff.diffs), diff.deleteBeforeReplace) == (2, ["x"], True)
    assert list(diff.replaces) == ['x["y.z"]']
    assert diff.detailedDiff['x["y.z"]'].kind == provider_pb2.PropertyDiff.UPDATE_REPLACE
    created = engine.create()
    assert (created.id, from_struct(created.properties)["secret"]) == ("id", Secret("s"))
    update = provider_pb2.UpdateRequest(urn=URN, id="id", news=new, ignoreChanges=["b"])
    updated = engine.call("Update", update, provider_pb2.UpdateResponse)
    assert from_struct(updated.properties) == {"a": 2, "ignored": ["b"], "for": "a::b"}
    for id_, found in (("gone", ""), ("here", "here")):
        read = provider_pb2.ReadRequest(urn=URN, id=id_)
        assert engine.call("Read", read, provider_pb2.ReadResponse).id == found
    invoke = provider_pb2.InvokeRequest(tok="toy:index:get", args=old)
    answer = cast(Struct, getattr(engine.call("Invoke", invoke, provider_pb2.InvokeResponse), "return"))
    assert from_struct(answer) == {"token": "toy:index:get", "a": 1}
    config = provider_pb2.DiffRequest(old_inputs=old, news=old)
    unchanged = engine.call("DiffConfig", config, provider_pb2.DiffResponse)
    assert unchanged.changes == provider_pb2.DiffResponse.DIFF_NONE


@pytest.mark.parametrize(
    ("do", "words"),
    [
        ("refuse", "it is refused; ask again\n  because"),
        ("break", "the simulated toy provider failed: KeyError: 'inner' (test_providers_server.py:"),
    ],
)
def test_what_goes_wrong_is_said_without_a_traceback(address: str, do: str, words: str) -> None:
    said = Engine(address).refusal(do).details()
    assert words in said
    assert "Traceback" not in said


def test_a_delete_that_fails_says_what_is_left(address: str) -> None:
    request = provider_pb2.DeleteRequest(urn=URN, id="id", timeout=2)
    with pytest.raises(grpc.RpcError, match="a::b id stays for 2 s; wait"):
        Engine(address).call("Delete", request, empty_pb2.Empty)


def test_a_resource_that_isnt_ready_is_handed_over_with_its_state(address: str) -> None:
    trailers = dict(Engine(address).refusal("stay unready").trailing_metadata())
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    failed = provider_pb2.ErrorResourceInitFailed()
    assert status.details[0].Unpack(failed)
    assert (failed.id, list(failed.reasons)) == ("id", ["not ready; wait", "slow"])
    assert from_struct(failed.properties) == {"half": True}
    assert from_struct(failed.inputs) == {"do": "stay unready"}


def test_what_isnt_simulated_says_so(address: str) -> None:
    engine = Engine(address)
    with pytest.raises(grpc.RpcError, match="the simulated toy provider has no component a:b:C; use resources"):
        engine.call("Construct", provider_pb2.ConstructRequest(type="a:b:C"), provider_pb2.ConstructResponse)
    with pytest.raises(grpc.RpcError, match="the simulated toy provider has no method a:b:C/m"):
        engine.call("Call", provider_pb2.CallRequest(tok="a:b:C/m"), provider_pb2.CallResponse)


def test_a_provider_that_isnt_configured_says_so(address: str) -> None:
    assert "called before it was configured" in Engine(address, colour="").refusal("").details()


@pytest.mark.parametrize("by", ["the engine's Cancel", "the end of the block"])
def test_all_waiting_ends_by(by: str) -> None:
    said: list[str] = []
    began = time.monotonic()
    with serve([ToyProvider()]) as server:
        engine = Engine(f"127.0.0.1:{server.debug_providers.partition(':')[2]}")
        waiting = threading.Thread(target=lambda: said.append(engine.refusal("wait").details()))
        waiting.start()
        time.sleep(0.2)
        if by == "the engine's Cancel":
            engine.call("Cancel", empty_pb2.Empty(), empty_pb2.Empty)
            waiting.join(5)
    waiting.join(5)
    assert said == ["cancelled; run it again"]
    assert time.monotonic() - began < 8
