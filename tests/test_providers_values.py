"""What the engine sends and what we answer are the same values, secrets and unknowns included."""

from __future__ import annotations

import pytest
from google.protobuf import json_format, struct_pb2
from gpu_clusters.rehearsal.providers import UNKNOWN, Change, PropertyChange, Secret, Tagged, Value
from gpu_clusters.rehearsal.providers.diffing import Path, differences, parse_path, path_text, value_at, with_value
from gpu_clusters.rehearsal.providers.values import from_struct, has_unknown, mark_secrets, reveal, to_struct
from hypothesis import given
from hypothesis import strategies as st

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105
OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
ASSET = "c44067f5952c0a294b673a41bacd8c17"
RESOURCE = "5cf8f73096256a8f31e491e813e4eb8e"
UNKNOWN_ON_THE_WIRE = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


def _file_asset(path: str) -> Tagged:
    return Tagged(ASSET, {"path": path})


_keys = st.text(min_size=1, max_size=8).filter(lambda key: key != SIGNATURE)
_leaves: st.SearchStrategy[Value] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: not number.is_integer()),
    st.text(max_size=8).filter(lambda text: text != UNKNOWN_ON_THE_WIRE),
    st.just(UNKNOWN),
    st.text(max_size=8).map(_file_asset),
)


def _deeper(inner: st.SearchStrategy[Value]) -> st.SearchStrategy[Value]:
    return st.one_of(st.lists(inner, max_size=4), st.dictionaries(_keys, inner, max_size=4), st.builds(Secret, inner))


_values: st.SearchStrategy[Value] = st.recursive(_leaves, _deeper, max_leaves=20)


@given(st.dictionaries(_keys, _values, max_size=5))
def test_whatever_is_sent_is_read_back(properties: dict[str, Value]) -> None:
    assert from_struct(to_struct(properties)) == properties


@pytest.mark.parametrize(
    ("wire", "value"),
    [
        ({"a": 1.0}, {"a": 1}),
        ({"a": 1.5}, {"a": 1.5}),
        ({"a": UNKNOWN_ON_THE_WIRE}, {"a": UNKNOWN}),
        ({"a": {SIGNATURE: SECRET, "value": "s"}}, {"a": Secret("s")}),
        ({"a": {SIGNATURE: OUTPUT, "value": "s", "secret": True, "dependencies": ["urn"]}}, {"a": Secret("s")}),
        ({"a": {SIGNATURE: OUTPUT, "value": "s"}}, {"a": "s"}),
        ({"a": {SIGNATURE: OUTPUT}}, {"a": UNKNOWN}),
        ({"a": {SIGNATURE: OUTPUT, "secret": True}}, {"a": Secret(UNKNOWN)}),
        ({"a": {SIGNATURE: ASSET, "text": "t"}}, {"a": Tagged(ASSET, {"text": "t"})}),
        ({"a": {SIGNATURE: RESOURCE, "urn": "u", "id": "i"}}, {"a": Tagged(RESOURCE, {"urn": "u", "id": "i"})}),
    ],
)
def test_the_wire_format_is_read_as_the_engine_means_it(wire: dict[str, object], value: dict[str, Value]) -> None:
    assert from_struct(json_format.ParseDict(wire, struct_pb2.Struct())) == value


@given(_values)
def test_nothing_revealed_is_secret(value: Value) -> None:
    assert "Secret(" not in repr(reveal(value)).replace("'Secret('", "")


@pytest.mark.parametrize(
    ("value", "unknown"),
    [("a", False), (UNKNOWN, True), (Secret([{"a": UNKNOWN}]), True), (Tagged(RESOURCE, {"id": UNKNOWN}), True)],
)
def test_unknowns_are_found_at_any_depth(value: Value, unknown: bool) -> None:
    assert has_unknown(value) is unknown


@pytest.mark.parametrize(
    ("outputs", "inputs", "marked"),
    [
        ({"a": "x", "b": 1}, {"a": Secret("x")}, {"a": Secret("x"), "b": 1}),
        ({"a": {"b": "x", "c": 1}}, {"a": {"b": Secret("x")}}, {"a": {"b": Secret("x"), "c": 1}}),
        ({"a": ["y", "x"]}, {"a": [Secret("x"), "y"]}, {"a": Secret(["y", "x"])}),
        ({"a": "x"}, {"z": Secret("x")}, {"a": "x"}),
    ],
)
def test_outputs_are_secret_where_inputs_are(
    outputs: dict[str, Value], inputs: dict[str, Value], marked: dict[str, Value]
) -> None:
    assert mark_secrets(outputs, inputs) == marked


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ({"a": 1}, {"a": 1.0}, {}),
        ({"a": 1}, {"a": True}, {"a": Change.UPDATE}),
        ({"a": "1"}, {"a": 1}, {"a": Change.UPDATE}),
        ({"a": Secret("x")}, {"a": "x"}, {}),
        ({"a": Secret("x")}, {"a": Secret("y")}, {"a": Change.UPDATE}),
        ({"a": "x"}, {"a": UNKNOWN}, {"a": Change.UPDATE}),
        ({"a": {"b.c/d": 1}}, {"a": {"b.c/d": 2}}, {'a["b.c/d"]': Change.UPDATE}),
        ({"a": [1, 2]}, {"a": [1]}, {"a[1]": Change.DELETE}),
        ({"a": [{"b": 1}]}, {"a": [{"b": 1}, {"b": 2}]}, {"a[1]": Change.ADD}),
        ({"a": {"b": 1}}, {}, {"a": Change.DELETE}),
        ({}, {"a": None}, {"a": Change.ADD}),
        ({"a": {"b": 1}}, {"a": [1]}, {"a": Change.UPDATE}),
    ],
)
def test_differences_stand_at_their_paths(
    old: dict[str, Value], new: dict[str, Value], changes: dict[str, Change]
) -> None:
    assert differences(old, new) == {path: PropertyChange(change) for path, change in changes.items()}


@given(st.dictionaries(_keys, _values, max_size=5))
def test_nothing_differs_from_itself(properties: dict[str, Value]) -> None:
    assert differences(properties, properties) == {}


_steps: st.SearchStrategy[str | int] = st.one_of(_keys, st.integers(0, 99))


@given(_keys, st.lists(_steps, max_size=5))
def test_a_path_is_read_as_it_was_written(first: str, rest: list[str | int]) -> None:
    path: Path = (first, *rest)
    assert parse_path(path_text(path)) == path


@pytest.mark.parametrize(
    ("path", "value", "result"),
    [
        (("a", "b"), 2, {"a": {"b": 2}, "l": [1]}),
        (("a", "new"), 2, {"a": {"b": 1, "new": 2}, "l": [1]}),
        (("l", 0), 2, {"a": {"b": 1}, "l": [2]}),
        (("l", 5), 2, {"a": {"b": 1}, "l": [1]}),
        (("x", "y"), 2, {"a": {"b": 1}, "l": [1]}),
    ],
)
def test_a_value_is_set_where_a_path_leads(path: Path, value: Value, result: dict[str, Value]) -> None:
    properties: dict[str, Value] = {"a": {"b": 1}, "l": [1]}
    assert with_value(properties, path, value) == result
    assert value_at(result, path) in (value, None)
    assert properties == {"a": {"b": 1}, "l": [1]}
