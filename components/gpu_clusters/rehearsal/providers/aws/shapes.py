"""The service models of botocore: what AWS's own API says of a value. Loaded when first asked for."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Final, TypedDict, cast

from botocore.loaders import Loader

from gpu_clusters.rehearsal.providers.values import Value

_NUMBERS: Final = ("integer", "long", "float", "double")
_WHOLE: Final = ("integer", "long")
_BOOLEANS: Final = ("true", "false")
_LOADING: Final = threading.Lock()


class _Reference(TypedDict):
    shape: str


class _Shape(TypedDict, total=False):
    type: str
    members: dict[str, _Reference]
    required: list[str]
    enum: list[str]
    pattern: str
    min: float
    max: float
    member: _Reference
    key: _Reference
    value: _Reference


class _Operation(TypedDict):
    input: _Reference


class _Service(TypedDict):
    operations: dict[str, _Operation]
    shapes: dict[str, _Shape]


@dataclass(frozen=True)
class Shape:
    """What a service says of one kind of value.

    Attributes:
        service: as botocore calls it, e.g. `ec2`.
        name: of the shape in that service's model.
    """

    service: str
    name: str

    @property
    def type(self) -> str:
        """`structure`, `list`, `map`, `string`, `integer`, ..."""
        return self._facts.get("type", "string")

    @property
    def members(self) -> Sequence[str]:
        """The names of a structure's members."""
        return tuple(self._facts.get("members", {}))

    @property
    def required(self) -> Sequence[str]:
        """Those of them that a request must have."""
        return self._facts.get("required", ())

    def member(self, name: str) -> Shape:
        """A structure's member."""
        return self._of(self._facts.get("members", {})[name])

    @property
    def item(self) -> Shape:
        """What a list holds."""
        return self._of(cast("_Reference", self._facts.get("member")))

    @property
    def value(self) -> Shape:
        """What a map holds."""
        return self._of(cast("_Reference", self._facts.get("value")))

    @property
    def bare(self) -> Shape:
        """The shape, or what it holds where it is a list, at any depth."""
        return self.item.bare if self.type == "list" else self

    def problem(self, value: Value) -> str | None:
        """What is wrong with a value that is neither a structure nor a map, and the remedy; None if nothing is."""
        return next(self._problems(value), None)

    def count_problem(self, count: int) -> str | None:
        """What is wrong with the length of a list."""
        return self._outside(count, "items")

    def _problems(self, value: Value) -> Iterator[str]:
        if isinstance(value, (dict, list)) or value is None:
            yield f"has to be a {_WORDS.get(self.type, 'text')}; give one value in place of the {_kind(value)}"
        elif self.type == "boolean":
            if not isinstance(value, bool) and str(value).lower() not in _BOOLEANS:
                yield f"{value!r} is neither true nor false; use one of them"
        elif self.type in _NUMBERS:
            yield from self._number_problems(value)
        elif self.type == "string":
            yield from self._text_problems(_text(value))

    def _number_problems(self, value: Value) -> Iterator[str]:
        number = _number(value)
        if number is None:
            yield f"{value!r} is not a number; give one"
        elif self.type in _WHOLE and not number.is_integer():
            yield f"{value!r} is not a whole number; round it"
        elif problem := self._outside(number, ""):
            yield problem

    def _text_problems(self, text: str) -> Iterator[str]:
        allowed = self._facts.get("enum")
        if allowed and text not in allowed:
            yield f"AWS has no {text!r} here; use {nearest(text, allowed)}"
        elif problem := self._outside(len(text), "characters"):
            yield problem
        elif (pattern := _pattern(self._facts.get("pattern", ""))) and not pattern.fullmatch(text):
            yield f"{text!r} is not as AWS wants it; it has to match {pattern.pattern}"

    def _outside(self, number: float, unit: str) -> str | None:
        least, most = self._facts.get("min"), self._facts.get("max")
        what = f"{number:g} {unit}".strip()
        if least is not None and number < least:
            return f"{what} is below AWS's least of {least:g}; give at least that"
        if most is not None and number > most:
            return f"{what} is above AWS's most of {most:g}; give at most that"
        return None

    @property
    def _facts(self) -> _Shape:
        return _service(self.service)["shapes"][self.name]

    def _of(self, reference: _Reference) -> Shape:
        return Shape(self.service, reference["shape"])


_WORDS: Final[Mapping[str, str]] = {"boolean": "boolean", **dict.fromkeys(_NUMBERS, "number")}


@cache
def request(service: str, operation: str) -> Shape:
    """What an operation of a service takes; `operation` may go on into members: `PutTargets.Targets`."""
    name, *steps = operation.split(".")
    shape = Shape(service, _service(service)["operations"][name]["input"]["shape"])
    for step in steps:
        shape = shape.member(step).bare
    return shape


def nearest(text: str, among: Sequence[str]) -> str:
    """The values that somebody who wrote `text` may have meant, for a remedy; all of them where they are few."""
    by_lower = {item.lower(): item for item in among}
    found = [by_lower[item] for item in get_close_matches(text.lower(), list(by_lower), n=3, cutoff=0.6)]
    few = tuple(among) if len(among) <= 8 else (*tuple(among)[:4], "...")
    return " or ".join(repr(item) for item in found) if found else f"one of {', '.join(few)}"


def _service(name: str) -> _Service:
    # EC2's model takes a while, and the engine checks many resources at once: nobody loads it twice.
    with _LOADING:
        return _loaded(name)


@cache
def _loaded(name: str) -> _Service:
    # The folder in the user's home that botocore looks into first could hold any model.
    loader = Loader(include_default_search_paths=False, extra_search_paths=[Loader.BUILTIN_DATA_PATH])
    return cast("_Service", loader.load_service_model(name, "service-2"))  # pyright: ignore[reportUnknownMemberType]


@cache
def _pattern(text: str) -> re.Pattern[str] | None:
    """The pattern, None where it isn't one of Python's: the models have those of Java."""
    try:
        return re.compile(text) if text else None
    except re.error:
        return None


def _text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(value: Value) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def _kind(value: Value) -> str:
    return "list" if isinstance(value, list) else "object" if isinstance(value, dict) else "null"
