"""Which field of a spec a refusal of pydantic's is about.  No Pulumi."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Union, cast

from gpu_clusters._spec import ByKind, camel, spec_hints
from gpu_clusters._yaml import Location


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a tree of specs.

    Attributes:
        location: the keys and indexes that lead to it, as the user wrote them.
        hint: the type that is expected there; None where nothing is.
        owner: the spec that the value belongs to, or would.
        is_key: whether it is about a mapping's key rather than its value.
    """

    location: Location
    hint: object | None
    owner: type | None
    is_key: bool = False


def field_names(cls: type) -> list[str]:
    """The fields of a spec, as YAML spells them."""
    return [camel(name) for name in spec_hints(cls)]


def place(cls: type, loc: tuple[str | int, ...]) -> Place:
    """Read a location as pydantic gives it, which has the tags of unions among the keys."""
    location: Location = ()
    hint: object = cls
    owner: type | None = None
    for part in loc:
        tagged = _arms(hint)
        if tagged is not None:
            hint = tagged.get(str(part), hint)
            continue
        hint = _bare(hint)
        if part == "[key]":
            return Place(location, typing.get_args(hint)[0] if typing.get_args(hint) else hint, owner, is_key=True)
        location = (*location, part)
        if isinstance(hint, type) and hasattr(hint, "__pydantic_config__"):
            owner = hint
            fields = {camel(name): field for name, field in spec_hints(hint).items()}
            if part not in fields:
                return Place(location, None, owner)
            hint = fields[str(part)]
        else:
            hint = _item(hint)
    return Place(location, hint, owner)


def kinds(hint: object) -> list[str]:
    """The values of the field that tells a union's specs apart."""
    return list(_arms(hint) or {})


def told_by(hint: object) -> str:
    """The field that tells a union's specs apart."""
    if typing.get_origin(hint) is Annotated:
        marks = [mark for mark in typing.get_args(hint)[1:] if isinstance(mark, ByKind)]
        return marks[0].field if marks else told_by(typing.get_args(hint)[0])
    if typing.get_origin(hint) in (Union, types.UnionType):
        annotated = [arm for arm in typing.get_args(hint) if typing.get_origin(arm) is Annotated]
        return told_by(annotated[0]) if annotated else "kind"
    return "kind"


def _bare(hint: object) -> object:
    """Without Annotated and without `| None`."""
    if typing.get_origin(hint) is Annotated:
        return _bare(typing.get_args(hint)[0])
    if typing.get_origin(hint) in (Union, types.UnionType):
        arms = [arm for arm in typing.get_args(hint) if arm is not type(None)]
        return _bare(arms[0]) if len(arms) == 1 else hint
    return hint


def _item(hint: object) -> object | None:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return args[1]
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return args[0]
    return None


def _arms(hint: object) -> dict[str, object] | None:
    union = _bare(hint)
    if typing.get_origin(union) not in (Union, types.UnionType):
        return None
    field = told_by(hint)
    found: dict[str, object] = {}
    for arm in typing.get_args(union):
        kind = spec_hints(cast(type, arm)).get(field) if hasattr(arm, "__pydantic_config__") else None
        if typing.get_origin(kind) is Literal:
            found[str(typing.get_args(kind)[0])] = arm
    return found or None
