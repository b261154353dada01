"""Property values as the engine sends them, as plain Python.

The SDK's own model (`pulumi.provider.experimental.property_value`) isn't used: it can't send an unknown value, reads
one as text, and misnames the fields of a resource reference. The SDK's constants for the wire format are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeAlias

from google.protobuf import struct_pb2
from pulumi.runtime import rpc

_SIGNATURE: Final = rpc._special_sig_key  # pyright: ignore[reportPrivateUsage]
_SECRET: Final = rpc._special_secret_sig  # pyright: ignore[reportPrivateUsage]
_OUTPUT: Final = rpc._special_output_value_sig  # pyright: ignore[reportPrivateUsage]
_UNKNOWN: Final = rpc.UNKNOWN


class Unknown(Enum):
    """The one value that stands for "not known before the deployment"."""

    UNKNOWN = _UNKNOWN


UNKNOWN: Final = Unknown.UNKNOWN


@dataclass(frozen=True)
class Secret:
    """A value that the engine encrypts in its state and hides in its output."""

    value: Value


@dataclass(frozen=True)
class Tagged:
    """An asset, archive or resource reference: handed on as it came.

    Attributes:
        signature: which of them it is, as the wire format says it.
        fields: its content by the wire format's names: `path`, `text`, `uri`, `assets`; `urn`, `id`.
    """

    signature: str
    fields: Properties = field(hash=False)


Value: TypeAlias = "bool | int | float | str | Unknown | Secret | Tagged | list[Value] | dict[str, Value] | None"
Properties: TypeAlias = "dict[str, Value]"


def from_struct(struct: struct_pb2.Struct) -> Properties:
    """Read a message's properties. Whole numbers become int, since Kubernetes tells `1` from `1.0`."""
    return {key: _from_wire(item) for key, item in struct.fields.items()}


def to_struct(properties: Mapping[str, Value]) -> struct_pb2.Struct:
    """The inverse of `from_struct`."""
    return struct_pb2.Struct(fields={key: _to_wire(item) for key, item in properties.items()})


def reveal(value: Value) -> Value:
    """The value without its secret marks, at any depth."""
    if isinstance(value, Secret):
        return reveal(value.value)
    if isinstance(value, dict):
        return {key: reveal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [reveal(item) for item in value]
    return value


def reveal_all(properties: Mapping[str, Value]) -> Properties:
    """`reveal` for a whole bag of properties."""
    return {key: reveal(item) for key, item in properties.items()}


def has_unknown(value: Value) -> bool:
    """Whether any part of the value is unknown."""
    return _any(value, lambda item: item is UNKNOWN)


def has_secret(value: Value) -> bool:
    """Whether any part of the value is secret."""
    return _any(value, lambda item: isinstance(item, Secret))


def mark_secrets(values: Properties, like: Mapping[str, Value]) -> Properties:
    """`values` with a secret mark wherever `like` has one.

    Inside a list the whole list is marked, because a server may reorder it and a secret must not move out of its mark.
    """
    return {key: _marked(item, like[key]) if key in like else item for key, item in values.items()}


def _marked(value: Value, like: Value) -> Value:
    if isinstance(value, Secret):
        return value
    if isinstance(value, dict) and isinstance(like, dict):
        return mark_secrets(value, like)
    return Secret(value) if has_secret(like) else value


def _any(value: Value, wanted: Callable[[Value], bool]) -> bool:
    if wanted(value):
        return True
    inner: Iterable[Value] = ()
    if isinstance(value, Secret):
        inner = (value.value,)
    elif isinstance(value, Tagged):
        inner = value.fields.values()
    elif isinstance(value, dict):
        inner = value.values()
    elif isinstance(value, list):
        inner = value
    return any(_any(item, wanted) for item in inner)


def _from_wire(wire: struct_pb2.Value) -> Value:
    kind = wire.WhichOneof("kind")
    if kind == "struct_value":
        return _from_wire_struct(wire.struct_value)
    if kind == "list_value":
        return [_from_wire(item) for item in wire.list_value.values]
    if kind == "string_value":
        return UNKNOWN if wire.string_value == _UNKNOWN else wire.string_value
    if kind == "number_value":
        number = wire.number_value
        return int(number) if number.is_integer() else number
    if kind == "bool_value":
        return wire.bool_value
    return None


def _from_wire_struct(struct: struct_pb2.Struct) -> Value:
    properties = from_struct(struct)
    signature = properties.pop(_SIGNATURE, None)
    if not isinstance(signature, str):
        return properties
    if signature == _SECRET:
        return Secret(properties.get("value"))
    if signature == _OUTPUT:
        # An output without a value is one that isn't known yet. Its dependencies matter to components alone.
        value = properties.get("value", UNKNOWN)
        return Secret(value) if properties.get("secret") is True else value
    return Tagged(signature, properties)


def _to_wire(value: Value) -> struct_pb2.Value:
    if value is None:
        return struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)
    if isinstance(value, bool):
        return struct_pb2.Value(bool_value=value)
    if isinstance(value, (int, float)):
        return struct_pb2.Value(number_value=value)
    if isinstance(value, str):
        return struct_pb2.Value(string_value=value)
    if isinstance(value, Unknown):
        return struct_pb2.Value(string_value=_UNKNOWN)
    if isinstance(value, list):
        return struct_pb2.Value(list_value=struct_pb2.ListValue(values=[_to_wire(item) for item in value]))
    if isinstance(value, Secret):
        value = {_SIGNATURE: _SECRET, "value": value.value}
    elif isinstance(value, Tagged):
        value = {_SIGNATURE: value.signature, **value.fields}
    return struct_pb2.Value(struct_value=to_struct(value))
