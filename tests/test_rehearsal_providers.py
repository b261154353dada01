"""The simulated providers for packages of which the simulation knows nothing, or wants to know nothing."""

from __future__ import annotations

import re

import pytest
from gpu_clusters.errors import OperationError
from gpu_clusters.rehearsal.providers import Checked, CheckFailure, Options, Resource, Secret, State, Value
from gpu_clusters.rehearsal.providers.deferred import DeferredChecks
from gpu_clusters.rehearsal.providers.generic import SimulatedGeneric
from gpu_clusters.rehearsal.providers.interface import ConfiguredProvider
from gpu_clusters.rehearsal.providers.plausible import plausible
from gpu_clusters.rehearsal.providers.refusing import SimulatedCommand, dynamic_providers
from gpu_clusters.rehearsal.providers.values import Properties, reveal_all
from gpu_clusters.rehearsal.world import Journal

OPTIONS = Options()


def resource(type_: str, name: str = "one") -> Resource:
    return Resource(f"urn:pulumi:dev::shop::{type_}::{name}", type_, name)


@pytest.mark.parametrize(
    ("type_", "inputs", "pattern"),
    [
        ("random:index/randomString:RandomString", {"length": 12, "special": False}, r"[A-Za-z0-9]{12}"),
        ("random:index/randomPassword:RandomPassword", {"length": 8, "overrideSpecial": "-"}, r"[A-Za-z0-9-]{8}"),
        ("random:index/randomPassword:RandomPassword", {"length": 4, "minNumeric": 4}, r"[0-9]{4}"),
        ("random:index/randomInteger:RandomInteger", {"min": 7, "max": 9}, r"[789]"),
        (
            "random:index/randomUuid:RandomUuid",
            {},
            r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
        ),
    ],
)
def test_chance_looks_as_asked_for_and_is_the_same_each_time(type_: str, inputs: Properties, pattern: str) -> None:
    first, again = (reveal_all(plausible(type_, "urn", inputs)) for _ in range(2))
    assert re.fullmatch(pattern, str(first["result"]))
    assert first == again
    assert reveal_all(plausible(type_, "other", {**inputs, "max": 10**9}))["result"] != first["result"]


@pytest.mark.parametrize(
    ("type_", "inputs", "key", "pattern"),
    [
        ("random:index/randomId:RandomId", {"byteLength": 4, "prefix": "a-"}, "hex", r"a-[0-9a-f]{8}"),
        ("random:index/randomPet:RandomPet", {"length": 3, "separator": "_"}, "id", r"[a-z]+_[a-z]+_[a-z]+"),
        ("tls:index/privateKey:PrivateKey", {"algorithm": "ED25519"}, "publicKeyOpenssh", r"ssh-ed25519 \S+\n"),
        ("tls:index/privateKey:PrivateKey", {"algorithm": "ECDSA"}, "publicKeyPem", r"-----BEGIN PUBLIC KEY[\s\S]+"),
    ],
)
def test_other_values_that_programs_use_are_there(type_: str, inputs: Properties, key: str, pattern: str) -> None:
    assert re.fullmatch(pattern, str(plausible(type_, "urn", inputs)[key]))


def test_what_is_secret_at_the_real_provider_is_secret_here() -> None:
    made = plausible("random:index/randomPassword:RandomPassword", "urn", {"length": 8})
    assert isinstance(made["result"], Secret)
    assert isinstance(plausible("tls:index/privateKey:PrivateKey", "urn", {})["privateKeyPem"], Secret)


def test_an_unknown_package_takes_any_resource_and_says_once_per_type_that_it_was_not_checked() -> None:
    journal = Journal()
    provider = SimulatedGeneric("example", "1.2.3", journal).configure({})
    for name in ("one", "two"):
        thing = resource("example:index:Thing", name)
        assert provider.check(thing, None, {"size": 1}) == Checked({"size": 1})
        made = provider.create(thing, {"size": 1}, OPTIONS)
        assert made.outputs == {"size": 1}
        assert made == provider.create(thing, {"size": 1}, OPTIONS)
        assert provider.diff(thing, State(made.id, made.outputs, {"size": 1}), {"size": 1}).changes == {}
        assert list(provider.diff(thing, State(made.id, made.outputs, {"size": 1}), {"size": 2}).changes) == ["size"]
    assert [entry.resource for entry in journal.unchecked] == ["example:index:Thing"]


def test_a_function_of_an_unknown_package_is_refused_by_name() -> None:
    with pytest.raises(OperationError, match="can't answer example:index:getThing"):
        SimulatedGeneric("example", "1.2.3", Journal()).configure({}).invoke("example:index:getThing", {})


@pytest.mark.parametrize("token", ["command:local:Command", "command:local:run"])
def test_no_command_is_run_on_this_machine(token: str) -> None:
    provider = SimulatedCommand("1.2.0", Journal()).configure({})
    with pytest.raises(OperationError, match=f"runs no command on this machine: {token}"):
        provider.create(resource(token), {"create": "true"}, OPTIONS)
    with pytest.raises(OperationError, match=f"runs no command on this machine: {token}"):
        provider.invoke(token, {"command": "true"})


def test_a_remote_command_is_accepted_unchecked_with_empty_output() -> None:
    journal = Journal()
    provider = SimulatedCommand("1.2.0", journal).configure({})
    remote = resource("command:remote:Command", "setup")
    inputs: Properties = {"create": "true"}
    made = provider.create(remote, provider.check(remote, None, inputs).inputs, OPTIONS)
    assert made.outputs == {"create": "true", "stdout": "", "stderr": ""}
    assert [entry.resource for entry in journal.unchecked] == ["command:remote:Command setup"]


def test_dynamic_providers_are_refused() -> None:
    provider = dynamic_providers("3.272.0", Journal()).configure({})
    with pytest.raises(OperationError, match="doesn't run dynamic providers"):
        provider.create(resource("pulumi-python:dynamic:Resource"), {}, OPTIONS)


class _Picky(SimulatedGeneric):
    """Finds two mistakes in every resource whose size is 0."""

    def configure(self, inputs: Properties) -> ConfiguredProvider:
        inner = super().configure(inputs)
        check = inner.check

        def picky(resource: Resource, old: Properties | None, new: Properties) -> Checked:
            failures = [CheckFailure("size", "is 0; make it 1"), CheckFailure("", "is no good; drop it")]
            return Checked(check(resource, old, new).inputs, failures if new["size"] == 0 else ())

        inner.check = picky
        return inner


def test_a_failed_check_comes_out_when_the_resource_would_be_made_or_changed() -> None:
    provider = DeferredChecks(_Picky("example", "1.2.3", Journal())).configure({})
    thing = resource("example:index:Thing")
    good: dict[str, Value] = {"size": 1}
    bad: dict[str, Value] = {"size": 0}
    assert provider.check(thing, None, bad) == Checked(bad)
    with pytest.raises(OperationError, match=r"^size: is 0; make it 1$") as refused:
        provider.create(thing, bad, OPTIONS)
    assert refused.value.details == ("is no good; drop it",)
    assert list(provider.diff(thing, State("a", bad, bad), bad).changes) == ["size", "inputs"]
    with pytest.raises(OperationError, match="size: is 0"):
        provider.update(thing, State("a", good, good), bad, OPTIONS)
    assert provider.check(thing, bad, good) == Checked(good)
    assert provider.create(thing, good, OPTIONS).outputs == good
