"""From a YAML document to a checked spec, with every problem at once and where it stands.  No Pulumi.

pydantic converts, and reports what the types can tell. What it refuses is cut out and the rest is tried again, so
that what only the specs know (a maximum below its minimum, a name given twice) is found in the same run.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from gpu_clusters._hints import field_names, place
from gpu_clusters._refusals import explain, unknown
from gpu_clusters._spec import camel, own_problems, spec_hints, tree_problems, unchecked
from gpu_clusters._yaml import Document, Location, spelled
from gpu_clusters.errors import ConfigError, ConfigErrors, ProblemId

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from pydantic_core import ErrorDetails

T = TypeVar("T")

#: Problems that say that something isn't there.
_ABSENCE = (ProblemId.UNKNOWN_REFERENCE, ProblemId.GPU_UNAVAILABLE)
_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")
_FIELD_IN_TEXT = re.compile(r"`([a-z_]+)`")


def load(cls: type[T], document: Document, file: str, *, prefix: str, ignore: Sequence[str] = ()) -> T:
    """Make a `cls` of the keys `<prefix>:<field>` below `config` in a stack's file.

    Args:
        file: what errors call the file.
        ignore: further names under the prefix that are allowed, and somebody else's.

    Raises:
        ConfigErrors: all problems, by line.
    """
    tree, problems = _our_keys(cls, document, file, prefix, ignore)
    conversion = _Conversion(cls, tree)
    value = conversion.run()
    found = list(conversion.problems)
    if value is not None:
        found += [
            (conversion.original(_location(error.path)), _in_camel_case(error))
            for error in tree_problems(value)
            # What was cut out with its item can't be told from what was never there.
            if not (conversion.has_cut_items and error.id in _ABSENCE)
        ]
    problems += [_placed(location, error, document, file, prefix) for location, error in found]
    if problems or value is None:
        raise ConfigErrors(sorted(problems, key=lambda error: error.line or 0))
    return value


def _our_keys(
    cls: type, document: Document, file: str, prefix: str, ignore: Sequence[str]
) -> tuple[dict[str, object], list[ConfigError]]:
    """The values of our keys by field, and what is wrong with the file around them."""
    root = document.value
    config = cast("dict[object, object]", root).get("config") if isinstance(root, dict) else None
    if not isinstance(config, dict) or not config:
        raise ConfigErrors(
            [
                ConfigError(
                    "config",
                    "the file is empty" if root is None else "there is no mapping `config` in it",
                    f"describe the stack there, at least `{prefix}:cluster`",
                    id=ProblemId.MISSING_FIELD,
                    file=file,
                    line=document.line(("config",)),
                )
            ]
        )
    tree: dict[str, object] = {}
    problems: list[ConfigError] = []
    known = field_names(cls)
    for key, value in cast("dict[object, object]", config).items():
        head, _, name = str(key).partition(":")
        if head != prefix or name in ignore:
            continue
        if name in known:
            tree[name] = value
        else:
            error = unknown(name, [f"{prefix}:{field}" for field in known])
            line = document.line(("config", str(key)))
            problems.append(dataclasses.replace(error, path=str(key), file=file, line=line))
    return tree, problems


class _Conversion(Generic[T]):
    """The loop of converting, and of cutting out what is refused."""

    def __init__(self, cls: type[T], tree: dict[str, object]) -> None:
        self._cls = cls
        # What remains, as JSON has it: no dates, no keys that aren't texts.
        self._tree = cast("dict[str, object]", json.loads(json.dumps(tree, default=str)))
        self._kept: dict[Location, list[int]] = {}
        self._cut: set[Location] = set()
        self.problems: list[tuple[Location, ConfigError]] = []

    @property
    def has_cut_items(self) -> bool:
        """Whether anything but a superfluous key was cut, so that names may be missing."""
        return bool(self._kept)

    def run(self) -> T | None:
        """The value of what remains when all that is refused has been cut; None when nothing does."""
        from pydantic import ValidationError

        adapter = _adapter(self._cls)
        while True:
            try:
                with unchecked():
                    return adapter.validate_json(json.dumps(self._tree), strict=True)
            except ValidationError as error:
                cuts = {self._take(detail) for detail in _innermost(error.errors(include_url=False))}
                if () in cuts:
                    return None
                for location in sorted(cuts, key=_for_cutting, reverse=True):
                    self._remove(location)

    def original(self, location: Location) -> Location:
        """Where a value stood before items of lists around it were cut."""
        found: Location = ()
        for part in location:
            kept = self._kept.get(found)
            found = (*found, kept[part] if kept is not None and isinstance(part, int) else part)
        return found

    def _take(self, detail: ErrorDetails) -> Location:
        """Note a refusal, unless it follows from a cut; return what must be cut for it, in today's locations."""
        where = place(self._cls, detail["loc"])
        original = self.original(where.location)
        if original not in self._cut:
            error = explain(detail["type"], detail["input"], where)
            self.problems.append(((*original, *_location(error.path)), error))
            self._cut.add(original)
        if detail["type"] != "missing":
            return where.location
        holder = where.location[:-1]
        if where.owner is not None and self.original(holder) not in self._cut:
            self._examine(where.owner, holder)
        return holder

    def _examine(self, cls: type, location: Location) -> None:
        """Check what there is of an object that can't be made, as far as its own checks come without the rest."""
        holder = _at(self._tree, location)
        if not isinstance(holder, dict):
            return
        damaged = cast(object, object.__new__(cls))
        for name, value in _fields(cls, cast("dict[str, object]", holder)):
            object.__setattr__(damaged, name, value)
            self._note(tree_problems(value, name), location)
        # A check that needs what is missing ends there; those before it count.
        with suppress(AttributeError):
            self._note(own_problems(damaged), location)

    def _note(self, errors: Iterator[ConfigError], below: Location) -> None:
        for error in errors:
            where = self.original((*below, *_location(error.path)))
            if error.id not in _ABSENCE and where not in self._cut:
                self.problems.append((where, _in_camel_case(error)))

    def _remove(self, location: Location) -> None:
        self._cut.add(self.original(location))
        *path, last = location
        holder = _at(self._tree, tuple(path))
        if isinstance(holder, list) and isinstance(last, int):
            items = cast("list[object]", holder)
            kept = self._kept.setdefault(self.original(tuple(path)), list(range(len(items))))
            del items[last], kept[last]
        elif isinstance(holder, dict):
            cast("dict[object, object]", holder).pop(last, None)


def _innermost(details: Sequence[ErrorDetails]) -> Sequence[ErrorDetails]:
    """The refusals to deal with first: an object that lacks something goes only when all below it is right."""
    others = [detail for detail in details if detail["type"] != "missing"]
    deepest = max((len(detail["loc"]) for detail in details), default=0)
    return others or [detail for detail in details if len(detail["loc"]) == deepest]


@cache
def _adapter(cls: type[T]) -> TypeAdapter[T]:
    from pydantic import TypeAdapter

    return TypeAdapter(cls)


def _at(tree: object, location: Location) -> object:
    for part in location:
        if isinstance(tree, list) and isinstance(part, int):
            tree = cast("list[object]", tree)[part]
        else:
            tree = cast("dict[object, object]", tree).get(part) if isinstance(tree, dict) else None
    return tree


def _fields(cls: type, raw: dict[str, object]) -> Iterator[tuple[str, object]]:
    """The fields of a spec that `raw` holds, converted, and the defaults of those that it lacks."""
    hints = spec_hints(cls)
    for field in dataclasses.fields(cls):
        if camel(field.name) in raw:
            with unchecked():
                adapter = _adapter(cast("type[object]", hints[field.name]))
                yield field.name, adapter.validate_json(json.dumps(raw[camel(field.name)]), strict=True)
        elif field.default is not dataclasses.MISSING:
            yield field.name, field.default
        elif field.default_factory is not dataclasses.MISSING:
            yield field.name, field.default_factory()


def _for_cutting(location: Location) -> tuple[int, list[tuple[int, str]]]:
    """Deeper ones first and later items of a list before earlier ones, so that no cut moves another's place."""
    return len(location), [(part, "") if isinstance(part, int) else (-1, part) for part in location]


def _location(path: str) -> Location:
    """`gpu_pools[1].nodes.max` as keys and indexes, in camelCase."""

    def steps() -> Iterator[str | int]:
        for index, name in _STEP.findall(path):
            yield int(index) if index else camel(name)

    return tuple(steps())


def _in_camel_case(error: ConfigError) -> ConfigError:
    def spell(text: str) -> str:
        return _FIELD_IN_TEXT.sub(lambda match: f"`{camel(match[1])}`", text)

    return dataclasses.replace(error, problem=spell(error.problem), remedy=spell(error.remedy))


def _placed(location: Location, error: ConfigError, document: Document, file: str, prefix: str) -> ConfigError:
    in_file = ("config", f"{prefix}:{location[0]}", *location[1:]) if location else ("config",)
    return dataclasses.replace(error, path=spelled(location), file=file, line=document.line(in_file))
