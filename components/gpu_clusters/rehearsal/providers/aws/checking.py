"""Inputs against the SDK's names and AWS's own models: every failure at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Final

from gpu_clusters.eks.machines import machine
from gpu_clusters.rehearsal.providers.aws.catalogue import Property, ResourceType, alias, properties
from gpu_clusters.rehearsal.providers.aws.models import Shape
from gpu_clusters.rehearsal.providers.aws.reading import opened
from gpu_clusters.rehearsal.providers.interface import CheckFailure
from gpu_clusters.rehearsal.providers.values import UNKNOWN, Properties, Tagged, Value

_WORDS: Final = {"str": "a text", "int": "a whole number", "float": "a number", "bool": "true or false"}
_NESTED: Final = {"list": "a list", "map": "an object", "object": "an object"}
_WHOLE_NUMBERS: Final = ("integer", "long")
_INSTANCE_TYPE: Final = "InstanceType"
#: The SDK's own bookkeeping.
_OWN_PREFIX: Final = "__"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a value stands: `path` as the user sees it, `name` as the table of properties has it."""

    path: str
    name: str

    def key(self, key: str) -> _Place:
        return _Place(f"{self.path}.{key}" if self.path else key, f"{self.name}.{key}" if self.name else key)

    def item(self, index: int) -> _Place:
        return _Place(f"{self.path}[{index}]", f"{self.name}[]")


def model_failures(kind: ResourceType, inputs: Properties) -> list[CheckFailure]:
    """What in the inputs neither the SDK nor AWS's model takes. Unknown values pass."""
    return list(_Checker(kind.token).structure(inputs, _Place("", ""), kind.shapes()))


class _Checker:
    def __init__(self, token: str) -> None:
        self._token = token
        self._known = properties(token)

    def structure(self, value: Mapping[str, Value], place: _Place, shapes: Sequence[Shape]) -> Iterator[CheckFailure]:
        names = _names_in(self._token, place.name)
        given = [key for key in value if not key.startswith(_OWN_PREFIX)]
        for key in given:
            here = place.key(key)
            known = self._known.get(here.name)
            if known is None:
                yield CheckFailure(here.path, f"{self._token} has no such property; {_nearest(key, names)}")
            elif opened(value[key]) is not None:
                yield from self._value(opened(value[key]), here, known, self._shape_of(here.name, key, shapes))
        yield from self._missing(value, place, names, shapes)

    def _missing(
        self, value: Mapping[str, Value], place: _Place, names: Sequence[str], shapes: Sequence[Shape]
    ) -> Iterator[CheckFailure]:
        wanted = frozenset[str]().union(*(shape.required for shape in shapes if shape.kind == "structure"))
        for key in names:
            here = place.key(key)
            # What a whole resource needs is the SDK's to say: the provider fills in names and tokens.
            nested = bool(place.name) and bool(_member_names(self._token, here.name, key, shapes) & wanted)
            if (self._known[here.name].is_required or nested) and value.get(key) is None:
                yield CheckFailure(here.path, "it is required and missing; give it a value")

    def _shape_of(self, name: str, key: str, shapes: Sequence[Shape]) -> Shape | None:
        steps = alias(self._token, name) or (key,)
        for start in shapes:
            found: Shape | None = start
            for step in steps:
                found = _member(found, step)
            if found is not None:
                return found
        return None

    def _value(self, value: Value, place: _Place, known: Property, shape: Shape | None) -> Iterator[CheckFailure]:
        if value is UNKNOWN or isinstance(value, Tagged):
            return
        if known.kind == "object" and isinstance(value, dict):
            yield from self.structure(value, place, [_unlisted(shape)] if shape else [])
        elif known.kind == "map" and isinstance(value, dict):
            yield from _map_failures(value, place.path, shape)
        elif known.kind == "list" and isinstance(value, list):
            yield from _size_failures(
                len(value), place.path, shape if shape and shape.kind == "list" else None, "items"
            )
            for index, item in enumerate(value):
                yield from self._item(opened(item), place.item(index), _unlisted(shape) if shape else None)
        elif known.kind in _NESTED or isinstance(value, dict | list):
            yield CheckFailure(place.path, f"it must be { {**_WORDS, **_NESTED}[known.kind] }; write one")
        else:
            yield from _scalar_failures(value, place.path, known.kind, shape)

    def _item(self, item: Value, place: _Place, shape: Shape | None) -> Iterator[CheckFailure]:
        if isinstance(item, dict):
            yield from self.structure(item, place, [shape] if shape else [])
        elif item is not None and item is not UNKNOWN and not isinstance(item, list | Tagged):
            yield from _scalar_failures(item, place.path, "str", shape)


def _map_failures(value: Properties, path: str, shape: Shape | None) -> Iterator[CheckFailure]:
    if shape is None or shape.kind != "map":
        return
    for key, item in value.items():
        item = opened(item)
        yield from _string_failures(key, f'{path}["{key}"]', shape.key)
        if isinstance(item, str):
            yield from _string_failures(item, f'{path}["{key}"]', shape.value)


def _scalar_failures(value: Value, path: str, kind: str, shape: Shape | None) -> Iterator[CheckFailure]:
    if not _is(value, kind):
        yield CheckFailure(path, f"{value!r} isn't {_WORDS[kind]}; write one")
    elif shape is None:
        return
    elif shape.kind in (*_WHOLE_NUMBERS, "double", "float"):
        if isinstance(value, int | float | str) and not isinstance(value, bool) and _is(value, "float"):
            yield from _range_failures(float(value), path, shape)
    elif shape.kind == "string" and isinstance(value, str):
        yield from _string_failures(value, path, shape)


def _is(value: Value, kind: str) -> bool:
    """Whether Terraform would take it for one, texts of numbers and booleans included."""
    if kind == "bool":
        return isinstance(value, bool) or value in ("true", "false")
    if kind in ("int", "float") and isinstance(value, str):
        try:
            return float(value).is_integer() if kind == "int" else bool(float(value) or True)
        except ValueError:
            return False
    if kind in ("int", "float"):
        return isinstance(value, int if kind == "int" else int | float) and not isinstance(value, bool)
    return True


def _range_failures(value: float, path: str, shape: Shape) -> Iterator[CheckFailure]:
    if shape.least is not None and value < shape.least:
        yield CheckFailure(path, f"{value:g} is below AWS's least of {shape.least:g}; raise it")
    if shape.most is not None and value > shape.most:
        yield CheckFailure(path, f"{value:g} is above AWS's most of {shape.most:g}; lower it")


def _string_failures(value: str, path: str, shape: Shape) -> Iterator[CheckFailure]:
    if shape.enum and value not in shape.enum:
        # The model may be older than a machine.
        if shape.name != _INSTANCE_TYPE or machine(value) is None:
            yield CheckFailure(path, f"AWS doesn't know {value!r}; {_nearest(value, shape.enum)}")
        return
    if shape.kind != "string":
        return
    yield from _size_failures(len(value), path, shape, "characters")
    if value and shape.pattern and not shape.pattern.fullmatch(value):
        yield CheckFailure(path, f"{value!r} doesn't match AWS's pattern; it must match {shape.pattern.pattern}")


def _size_failures(size: int, path: str, shape: Shape | None, unit: str) -> Iterator[CheckFailure]:
    if shape is not None and shape.least is not None and size < shape.least:
        yield CheckFailure(path, f"it has {size} {unit}, and AWS wants at least {shape.least:g}; add some")
    if shape is not None and shape.most is not None and size > shape.most:
        yield CheckFailure(path, f"it has {size} {unit}, and AWS takes at most {shape.most:g}; shorten it")


def _nearest(value: str, among: Sequence[str]) -> str:
    near = get_close_matches(value, among, n=3, cutoff=0.5) or (list(among) if len(among) <= 6 else [])
    return f"did you mean {' or '.join(near)}?" if near else "see AWS's reference for what it takes"


def _member(shape: Shape | None, name: str) -> Shape | None:
    shape = _unlisted(shape) if shape else None
    if shape is None or shape.kind != "structure":
        return None
    found = shape.members.get(name.lower()) or shape.members.get(name.lower().removesuffix("s"))
    return shape.member(found) if found else None


def _unlisted(shape: Shape) -> Shape:
    """A list's items, since the SDK has an object where Terraform's list takes one item, and AWS may have the list."""
    return _unlisted(shape.item) if shape.kind == "list" else shape


def _member_names(token: str, name: str, key: str, shapes: Sequence[Shape]) -> frozenset[str]:
    first = (alias(token, name) or (key,))[0].lower()
    found = (
        shape.members.get(first) or shape.members.get(first.removesuffix("s"))
        for shape in shapes
        if shape.kind == "structure"
    )
    return frozenset(member for member in found if member)


@cache
def _names_in(token: str, name: str) -> tuple[str, ...]:
    """The properties of an object, by its name in the table."""
    prefix = f"{name}." if name else ""
    inner = (path[len(prefix) :] for path in properties(token) if path.startswith(prefix))
    return tuple(path for path in inner if "." not in path and "[" not in path)
