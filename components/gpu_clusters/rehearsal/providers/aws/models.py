"""AWS's own models of its APIs, as botocore brings them: what an operation takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache, cached_property
from typing import cast


class Shape:
    """A type of AWS's: what its values may be.

    Args:
        service: of botocore's, e.g. `ec2`.
        name: of the shape in that service's model.
    """

    def __init__(self, service: str, name: str) -> None:
        self._service, self.name = service, name
        self._raw = _mapping(_shapes(service).get(name))

    @property
    def kind(self) -> str:
        """`structure`, `list`, `map`, `string`, `integer`, `long`, `boolean`, `timestamp`, ..."""
        return str(self._raw.get("type"))

    @cached_property
    def members(self) -> Mapping[str, str]:
        """A structure's members by their names in lower case: the name as AWS spells it."""
        return {name.lower(): name for name in _mapping(self._raw.get("members"))}

    @property
    def required(self) -> frozenset[str]:
        """The members that a structure must have."""
        return frozenset(cast("list[str]", self._raw.get("required") or []))

    @cached_property
    def enum(self) -> tuple[str, ...]:
        """The only values of a string; none where any will do."""
        return tuple(cast("list[str]", self._raw.get("enum") or ()))

    @cached_property
    def pattern(self) -> re.Pattern[str] | None:
        """What a string must match in full; None also where the model's pattern isn't one of Python's."""
        try:
            return re.compile(str(self._raw["pattern"])) if "pattern" in self._raw else None
        except re.error:
            return None

    @property
    def least(self) -> float | None:
        """Of a number; or the length of a string or list."""
        return cast("float | None", self._raw.get("min"))

    @property
    def most(self) -> float | None:
        """As `least`."""
        return cast("float | None", self._raw.get("max"))

    def member(self, name: str) -> Shape:
        """The shape of a structure's member, by AWS's spelling."""
        return shape(self._service, str(_mapping(_mapping(self._raw["members"])[name])["shape"]))

    @property
    def item(self) -> Shape:
        """The shape of a list's items."""
        return shape(self._service, str(_mapping(self._raw["member"])["shape"]))

    @property
    def value(self) -> Shape:
        """The shape of a map's values."""
        return shape(self._service, str(_mapping(self._raw["value"])["shape"]))

    @property
    def key(self) -> Shape:
        """The shape of a map's keys."""
        return shape(self._service, str(_mapping(self._raw["key"])["shape"]))


@cache
def shape(service: str, name: str) -> Shape:
    """A shape of a service by its name."""
    return Shape(service, name)


@cache
def operation_input(service: str, operation: str) -> Shape:
    """What an operation takes."""
    described = _mapping(_mapping(_model(service)["operations"])[operation])
    return shape(service, str(_mapping(described["input"])["shape"]))


@cache
def _model(service: str) -> Mapping[str, object]:
    # The models of a few services are megabytes, and only rehearsals read them.
    from botocore.loaders import Loader

    # Nothing but what botocore itself brings: a folder of the user's own could say anything.
    loader = Loader(extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
    load = cast("Callable[[str, str], Mapping[str, object]]", loader.load_service_model)  # pyright: ignore[reportUnknownMemberType]
    return load(service, "service-2")


def _shapes(service: str) -> Mapping[str, object]:
    return _mapping(_model(service)["shapes"])


def _mapping(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value or {})
