"""Pulumi's names against AWS's: every property of the SDK is known, and what it requires is required."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import cast

import pytest
from gpu_clusters import data
from gpu_clusters.rehearsal.providers.aws.names import known_kinds, operation, target
from gpu_clusters.rehearsal.providers.aws.shapes import Shape
from pulumi import _types as pulumi_types  # pyright: ignore[reportPrivateUsage]

# pulumi-aws says so of its own modules when they are loaded.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def input_class(kind: str) -> type:
    """The class of a resource's arguments in pulumi-aws."""
    _, module, name = kind.split(":")
    return cast("type", getattr(import_module(f"pulumi_aws.{module.partition('/')[0]}"), f"{name}Args"))


def inner_class(hint: object) -> type | None:
    """The class of the objects that a property holds, through unions and lists."""
    if isinstance(hint, type) and pulumi_types.is_input_type(hint):
        return hint
    found = [inner_class(item) for item in typing.get_args(hint)] if typing.get_origin(hint) is not Mapping else []
    return next((item for item in found if item is not None), None)


def unmatched(kind: str, cls: type, parent: str, among: tuple[Shape, ...]) -> Iterator[str]:
    """The properties that the SDK has and the tables don't, as paths."""
    for key, hint in pulumi_types.input_type_types(cls).items():
        path = f"{parent}.{key}" if parent else key
        found, inner = target(kind, parent, key, among), inner_class(hint)
        if found is None:
            yield path
        elif isinstance(found, Shape) and inner is not None:
            yield from unmatched(kind, inner, path, (found,))


@pytest.mark.parametrize("kind", known_kinds())
def test_every_property_of_the_sdk_is_known(kind: str) -> None:
    found = operation(kind)
    assert found is not None
    assert list(unmatched(kind, input_class(kind), "", found.roots)) == []


@pytest.mark.parametrize("kind", known_kinds())
def test_what_the_sdk_requires_is_required(kind: str) -> None:
    found, cls = operation(kind), input_class(kind)
    assert found is not None
    names = pulumi_types.input_type_py_to_pulumi_names(cls)
    parameters = inspect.signature(cls.__init__).parameters
    assert set(found.required) == {
        name for python, name in names.items() if parameters[python].default is inspect.Parameter.empty
    }


@pytest.mark.parametrize("table", ["aws_api_names", "aws_api_operations"])
def test_every_row_has_its_source(table: str) -> None:
    assert [row for row in data.rows(table) if not row["source"]] == []
