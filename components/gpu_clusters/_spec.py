"""@spec: the plain, frozen, keyword-only dataclass that every args class is.

A spec checks itself when it is built and raises every violation at once (`ConfigErrors`). What the types can't say
it yields from a method `_problems`. Where a whole tree is read from a file, `unchecked()` puts the checks off, and
`tree_problems` then finds those of all objects in it with their full paths.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from enum import Enum
from functools import cache
from typing import Annotated, Final, Literal, TypeVar, Union, cast, dataclass_transform

from gpu_clusters.errors import ConfigError, ConfigErrors, ProblemId, join_path

T = TypeVar("T")

_put_off: ContextVar[bool] = ContextVar("put_off", default=False)

#: RFC 1123 label, as Kubernetes checks names of namespaces, and of nearly everything here.
_DNS_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_DNS_LABEL_MAX: Final = 63


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(dataclasses.field,))
def spec(cls: type[T]) -> type[T]:
    """Make `cls` a frozen, slotted, keyword-only dataclass that validates itself.

    Lists and dicts given to it are copied (as tuples and dicts), so that a later change of the caller's can't reach it.
    Unknown keys in YAML are errors, and keys there are camelCase.
    """
    # pydantic reads these when a file is loaded; the names are its own.
    cls.__pydantic_config__ = {"extra": "forbid", "alias_generator": camel}  # pyright: ignore[reportAttributeAccessIssue]
    cls.__post_init__ = _validate  # pyright: ignore[reportAttributeAccessIssue]
    return dataclasses.dataclass(frozen=True, slots=True, kw_only=True)(cls)


class ByKind:
    """Marks a union of specs that one field tells apart: `Annotated[Spot | Reservation, ByKind()]`.

    Args:
        field: that field, a Literal in each of them. Default `kind`.
    """

    def __init__(self, field: str = "kind") -> None:
        self.field = field

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> object:
        from pydantic import Field, GetCoreSchemaHandler

        return cast(GetCoreSchemaHandler, handler).generate_schema(Annotated[source, Field(discriminator=self.field)])


@contextmanager
def unchecked() -> Generator[None, None, None]:
    """Within it specs are built without being checked; the caller then asks `tree_problems`."""
    token = _put_off.set(True)
    try:
        yield
    finally:
        _put_off.reset(token)


def is_spec(value: object) -> bool:
    """Whether `value` is an instance of a @spec class."""
    return dataclasses.is_dataclass(value) and not isinstance(value, type) and hasattr(value, "__pydantic_config__")


def own_problems(value: object) -> Iterator[ConfigError]:
    """What is wrong with this object by itself, its parts being right."""
    check = getattr(value, "_problems", None)
    if check is not None:
        yield from check()


def tree_problems(value: object, path: str = "") -> Iterator[ConfigError]:
    """What is wrong with this object and with every spec below it, in the order of the fields, paths in full."""
    if is_spec(value):
        for field in dataclasses.fields(cast("typing.Any", value)):
            yield from tree_problems(getattr(value, field.name), join_path(path, field.name))
        for problem in own_problems(value):
            yield problem.under(path)
    elif isinstance(value, tuple):
        for index, item in enumerate(cast("tuple[object, ...]", value)):
            yield from tree_problems(item, f"{path}[{index}]")
    elif isinstance(value, dict):
        for key, item in cast("dict[object, object]", value).items():
            yield from tree_problems(item, join_path(path, str(key)))


def camel(name: str) -> str:
    """`gpus_per_node` as YAML spells it: `gpusPerNode`."""
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)


def name_problems(name: str, path: str = "name") -> Iterator[ConfigError]:
    """What Kubernetes would refuse in a name: it must be a DNS label (RFC 1123), at most 63 characters."""
    if not _DNS_LABEL.fullmatch(name) or len(name) > _DNS_LABEL_MAX:
        wish = re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-")[:_DNS_LABEL_MAX].strip("-")
        yield ConfigError(
            path,
            f"{name!r} is not a name that Kubernetes takes",
            "use at most 63 lower-case letters, digits and dashes, with a letter or digit at both ends"
            + (f", e.g. {wish!r}" if wish else ""),
            id=ProblemId.INVALID_NAME,
        )


def duplicate_problems(names: Sequence[str], path: str, field: str = "name") -> Iterator[ConfigError]:
    """Each name in a list that an earlier item has already; `path` is the list's."""
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            yield ConfigError(
                f"{path}[{index}].{field}",
                f"an earlier item has the {field} {name!r} already",
                "give each its own",
                id=ProblemId.DUPLICATE_NAME,
            )
        seen.add(name)


def range_problems(path: str, value: float, low: float, high: float | None = None) -> Iterator[ConfigError]:
    """A number outside its bounds, both inclusive."""
    if value < low or (high is not None and value > high):
        bounds = f"at least {low}" if high is None else f"from {low} to {high}"
        yield ConfigError(path, f"{value} is out of range", f"use a number {bounds}", id=ProblemId.OUT_OF_RANGE)


def _validate(self: object) -> None:
    for field in dataclasses.fields(cast("typing.Any", self)):
        value: object = getattr(self, field.name)
        if isinstance(value, list):
            object.__setattr__(self, field.name, tuple(cast("list[object]", value)))
        elif isinstance(value, dict):
            object.__setattr__(self, field.name, dict(cast("dict[object, object]", value)))
    if _put_off.get():
        return
    hints = spec_hints(type(self))
    problems = [p for name, hint in hints.items() for p in _mismatches(getattr(self, name), hint, name)]
    # Checks that go beyond types may rely on them, so they wait until the types hold.
    problems = problems or list(own_problems(self))
    if problems:
        raise ConfigErrors(problems)


@cache
def spec_hints(cls: type) -> dict[str, object]:
    """The fields of a spec and their types."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def required_fields(cls: type) -> list[str]:
    """The fields of a spec that have no default."""
    missing = dataclasses.MISSING
    return [f.name for f in dataclasses.fields(cls) if f.default is missing and f.default_factory is missing]


def _mismatches(value: object, hint: object, path: str) -> Iterator[ConfigError]:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        yield from _mismatches(value, args[0], path)
    elif origin in (Union, types.UnionType):
        if all(any(_mismatches(value, arm, path)) for arm in args):
            yield _wrong_type(value, hint, path)
    elif origin is Literal:
        if value not in args:
            yield _wrong_type(value, hint, path)
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        yield from _mapping_mismatches(value, hint, path)
    elif isinstance(origin, type) and issubclass(origin, Sequence):
        yield from _sequence_mismatches(value, hint, path)
    elif isinstance(hint, type) and not _is_instance(value, hint):
        yield _wrong_type(value, hint, path)


def _mapping_mismatches(value: object, hint: object, path: str) -> Iterator[ConfigError]:
    if not isinstance(value, Mapping):
        yield _wrong_type(value, hint, path)
        return
    key_hint, item_hint = typing.get_args(hint)
    for key, item in cast("Mapping[object, object]", value).items():
        yield from _mismatches(key, key_hint, join_path(path, str(key)))
        yield from _mismatches(item, item_hint, join_path(path, str(key)))


def _sequence_mismatches(value: object, hint: object, path: str) -> Iterator[ConfigError]:
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        yield _wrong_type(value, hint, path)
        return
    for index, item in enumerate(cast("Sequence[object]", value)):
        yield from _mismatches(item, typing.get_args(hint)[0], f"{path}[{index}]")


def _is_instance(value: object, hint: type) -> bool:
    if isinstance(value, bool):
        return hint in (bool, object)
    if hint is float:
        return isinstance(value, (int, float))
    return isinstance(value, hint)


def _wrong_type(value: object, hint: object, path: str) -> ConfigError:
    words = describe(hint)
    remedy = f"give {words}"
    if isinstance(hint, type) and issubclass(hint, Enum) and isinstance(value, str):
        with suppress(ValueError):
            remedy = f"give {hint.__name__}.{hint(value).name}"
    return ConfigError(path, f"{value!r} is not {words}", remedy, id=ProblemId.INVALID_TYPE)


def describe(hint: object) -> str:
    """A type in words: `a whole number`, `one of 'none', 'single'`, `a GpuPool`."""
    words = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", type(None): "nothing"}
    if isinstance(hint, type) and hint in words:
        return words[hint]
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return describe(args[0])
    if origin in (Union, types.UnionType):
        return " or ".join(describe(arm) for arm in args if arm is not type(None))
    if origin is Literal:
        return " or ".join(repr(arg) for arg in args)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"a mapping of {describe(args[0])} to {describe(args[1])}"
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return f"a list of items, each {describe(args[0])}"
    if isinstance(hint, type):
        article = "an" if hint.__name__[0] in "AEIOU" else "a"
        example = f" such as {hint.__name__}.{next(iter(hint)).name}" if issubclass(hint, Enum) else ""
        return f"{article} {hint.__name__}{example}"
    return str(hint)
