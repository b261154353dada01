"""A resource's inputs against what AWS's API takes: names, types, allowed values, lengths, what is required."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gpu_clusters.rehearsal.providers.aws.names import (
    Operation,
    Own,
    property_name,
    property_names,
    target,
)
from gpu_clusters.rehearsal.providers.aws.shapes import Shape, nearest
from gpu_clusters.rehearsal.providers.diffing import Path, path_text
from gpu_clusters.rehearsal.providers.interface import CheckFailure
from gpu_clusters.rehearsal.providers.values import UNKNOWN, Tagged, Value

_TYPES: Mapping[str, tuple[type, ...]] = {
    "boolean": (bool,),
    "number": (int, float),
    "string": (str, int, float, bool),
    "list": (list,),
    "map": (dict,),
    "object": (dict,),
    "policy": (str, dict),
}


def request_failures(kind: str, operation: Operation, inputs: Mapping[str, Value]) -> Iterator[CheckFailure]:
    """Everything that the service models say against the inputs of a resource. They hold no secret marks."""
    for name in operation.required:
        if inputs.get(name) is None:
            yield CheckFailure(name, f"`{name}` is missing; AWS makes none without it")
    yield from _Walk(kind).object(inputs, operation.roots, ())


class _Walk:
    """Goes through one resource's inputs."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def object(self, values: Mapping[str, Value], among: tuple[Shape, ...], path: Path) -> Iterator[CheckFailure]:
        """The properties of one object, which may stand in several structures of the API."""
        parent = _bare(path)
        for key, value in values.items():
            # The engine's own bookkeeping begins with two underscores.
            if value is None or value is UNKNOWN or isinstance(value, Tagged) or key.startswith("__"):
                continue
            found = target(self._kind, parent, key, among)
            if found is None:
                yield self._unknown(key, among, path)
            elif isinstance(found, Own):
                yield from _own(found, value, (*path, key))
            else:
                yield from self._value(found, value, (*path, key))

    def _unknown(self, key: str, among: tuple[Shape, ...], path: Path) -> CheckFailure:
        names = property_names(self._kind, _bare(path), among)
        what = self._kind.rpartition(":")[2]
        where = f"`{path_text(path)}` of {what}" if path else what
        return CheckFailure(path_text((*path, key)), f"{where} has no `{key}`; use {nearest(key, names)}")

    def _value(self, shape: Shape, value: Value, path: Path) -> Iterator[CheckFailure]:
        if value is None or value is UNKNOWN:
            return
        if shape.type == "list":
            yield from self._list(shape, value, path)
        elif shape.type == "structure":
            yield from self._structure(shape, value, path)
        elif shape.type == "map":
            yield from self._map(shape, value, path)
        elif shape.type not in ("blob", "timestamp") and (problem := shape.problem(value)):
            yield CheckFailure(path_text(path), problem)

    def _list(self, shape: Shape, value: Value, path: Path) -> Iterator[CheckFailure]:
        if isinstance(value, list):
            if problem := shape.count_problem(len(value)):
                yield CheckFailure(path_text(path), problem)
            for index, item in enumerate(value):
                yield from self._value(shape.item, item, (*path, index))
        elif isinstance(value, dict) and {"Key", "Value"} <= set(shape.item.members):
            yield from _map_of_texts(value, path)
        else:
            # Pulumi has one value where Terraform has a list of at most one.
            yield from self._value(shape.item, value, path)

    def _structure(self, shape: Shape, value: Value, path: Path) -> Iterator[CheckFailure]:
        if not isinstance(value, dict):
            yield CheckFailure(path_text(path), f"{value!r} is not an object; give its properties")
            return
        parent = _bare(path)
        for member in shape.required:
            name = property_name(self._kind, parent, member)
            if not any(key.lower() in (name.lower(), name.lower() + "s") for key in value):
                yield CheckFailure(path_text((*path, name)), f"`{name}` is missing; AWS wants it here")
        yield from self.object(value, (shape,), path)

    def _map(self, shape: Shape, value: Value, path: Path) -> Iterator[CheckFailure]:
        if not isinstance(value, dict):
            yield CheckFailure(path_text(path), f"{value!r} is not a map; give keys and values")
            return
        for key, item in value.items():
            yield from self._value(shape.value, item, (*path, key))


def _own(own: Own, value: Value, path: Path) -> Iterator[CheckFailure]:
    if not isinstance(value, _TYPES[own.value]):
        yield CheckFailure(path_text(path), f"{value!r} is not a {own.value}; give one")
    elif own.value == "map" and isinstance(value, dict):
        yield from _map_of_texts(value, path)


def _map_of_texts(value: Mapping[str, Value], path: Path) -> Iterator[CheckFailure]:
    for key, item in value.items():
        if isinstance(item, (dict, list)):
            yield CheckFailure(path_text((*path, key)), "is not a text; give one value")


def _bare(path: Path) -> str:
    return ".".join(step for step in path if isinstance(step, str))
