"""The gRPC base of all simulated providers, as the engine sees it."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator

import grpc
import pytest
from google.protobuf import empty_pb2
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
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2

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


def _connect(address: str, colour: str = "red") -> provider_pb2_grpc.ResourceProviderStub:
    # A pool of its own, as each provider of the engine has: channels of one process else share a connection.
    channel = grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
    stub = provider_pb2_grpc.ResourceProviderStub(channel)
    if colour:
        response = stub.Configure(provider_pb2.ConfigureRequest(args=to_struct({"colour": colour})))
        assert (response.acceptSecrets, response.supportsPreview, response.acceptResources) == (True, True, True)
    return stub


def _create(do: str = "") -> provider_pb2.CreateRequest:
    return provider_pb2.CreateRequest(urn=URN, properties=to_struct({"do": do}))


def test_every_connection_keeps_its_own_configuration(address: str) -> None:
    red, blue = _connect(address, "red"), _connect(address, "blue")
    assert from_struct(red.Create(_create()).properties)["colour"] == "red"
    assert from_struct(blue.Create(_create()).properties)["colour"] == "blue"


def test_requests_and_answers_carry_everything(address: str) -> None:
    stub = _connect(address)
    assert stub.GetPluginInfo(empty_pb2.Empty()).version == "1.2.3"
    assert stub.Handshake(provider_pb2.ProviderHandshakeRequest()).accept_secrets
    checked = stub.Check(provider_pb2.CheckRequest(urn=URN, news=to_struct({"a": 1})))
    assert from_struct(checked.inputs) == {"a": 1, "old": False}
    assert [(failure.property, failure.reason) for failure in checked.failures] == [("size", "too big")]
    old, new = to_struct({"a": 1}), to_struct({"a": 2})
    diff = stub.Diff(provider_pb2.DiffRequest(urn=URN, olds=new, old_inputs=old, news=new))
    assert (diff.changes, list(diff.diffs), diff.deleteBeforeReplace) == (2, ["x"], True)
    assert list(diff.replaces) == ['x["y.z"]']
    assert diff.detailedDiff['x["y.z"]'].kind == provider_pb2.PropertyDiff.UPDATE_REPLACE
    created = stub.Create(_create())
    assert (created.id, from_struct(created.properties)["secret"]) == ("id", Secret("s"))
    updated = stub.Update(provider_pb2.UpdateRequest(urn=URN, id="id", news=new, ignoreChanges=["b"]))
    assert from_struct(updated.properties) == {"a": 2, "ignored": ["b"], "for": "a::b"}
    assert stub.Read(provider_pb2.ReadRequest(urn=URN, id="gone")).id == ""
    assert stub.Read(provider_pb2.ReadRequest(urn=URN, id="here")).id == "here"
    answer = stub.Invoke(provider_pb2.InvokeRequest(tok="toy:index:get", args=old))
    assert from_struct(getattr(answer, "return")) == {"token": "toy:index:get", "a": 1}
    configured = provider_pb2.DiffRequest(old_inputs=old, news=old)
    assert stub.DiffConfig(configured).changes == provider_pb2.DiffResponse.DIFF_NONE


@pytest.mark.parametrize(
    ("do", "words"),
    [
        ("refuse", "it is refused; ask again\n  because"),
        ("break", "the simulated toy provider failed: KeyError: 'inner' (test_providers_server.py:"),
    ],
)
def test_what_goes_wrong_is_said_without_a_traceback(address: str, do: str, words: str) -> None:
    stub = _connect(address)
    with pytest.raises(grpc.RpcError) as caught:
        stub.Create(_create(do))
    assert words in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_a_resource_that_isnt_ready_is_handed_over_with_its_state(address: str) -> None:
    stub = _connect(address)
    with pytest.raises(grpc.RpcError) as caught:
        stub.Create(_create("stay unready"))
    trailers = dict(caught.value.trailing_metadata())  # pyright: ignore
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])  # pyright: ignore
    failed = provider_pb2.ErrorResourceInitFailed()
    assert status.details[0].Unpack(failed)
    assert (failed.id, list(failed.reasons)) == ("id", ["not ready; wait", "slow"])
    assert from_struct(failed.properties) == {"half": True}
    assert from_struct(failed.inputs) == {"do": "stay unready"}


def test_what_isnt_simulated_says_so(address: str) -> None:
    stub = _connect(address)
    with pytest.raises(grpc.RpcError, match="the simulated toy provider has no component a:b:C; use resources"):
        stub.Construct(provider_pb2.ConstructRequest(type="a:b:C"))
    with pytest.raises(grpc.RpcError, match="the simulated toy provider has no method a:b:C/m"):
        stub.Call(provider_pb2.CallRequest(tok="a:b:C/m"))


def test_a_provider_that_isnt_configured_says_so(address: str) -> None:
    with pytest.raises(grpc.RpcError, match="called before it was configured"):
        _connect(address, colour="").Create(_create())


def test_cancel_and_the_end_of_the_block_end_all_waiting() -> None:
    began = time.monotonic()
    for end in ("cancel", "leave"):
        errors: list[str] = []
        with serve([ToyProvider()]) as server:
            stub = _connect(f"127.0.0.1:{server.debug_providers.partition(':')[2]}")
            waiting = stub.Create.future(_create("wait"))  # pyright: ignore
            waiting.add_done_callback(lambda future: errors.append(str(future.exception())))  # pyright: ignore
            time.sleep(0.2)
            if end == "cancel":
                stub.Cancel(empty_pb2.Empty())
        assert "cancelled; run it again" in str(waiting.exception())  # pyright: ignore
    assert time.monotonic() - began < 10
