"""The difference between two bags of properties, path by path."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

from gpu_clusters.rehearsal.providers.interface import Change, PropertyChange
from gpu_clusters.rehearsal.providers.values import Properties, Secret, Value, reveal

Path: TypeAlias = "tuple[str | int, ...]"

_PLAIN = re.compile(r"[A-Za-z_$][\w$-]*\Z")
_STEP = re.compile(r"""\.?(?P<key>[^.\[\]"]+)|\[(?P<index>\d+)\]|\[(?P<quoted>"(?:[^"\\]|\\.)*")\]""")


def differences(
    old: Mapping[str, Value], new: Mapping[str, Value], replaces: Callable[[Path], bool] = lambda _path: False
) -> dict[str, PropertyChange]:
    """Every property that differs, by its path; an unknown value differs from every known one.

    Args:
        replaces: whether a difference at a path can only be made by a new resource.
    """
    found: dict[str, PropertyChange] = {}
    _compare(dict(old), dict(new), (), lambda path, change: _note(found, path, change, replaces))
    return found


def path_text(path: Path) -> str:
    """`("spec", "ports", 0)` as the engine writes it: `spec.ports[0]`; odd keys as `metadata.labels["a.b/c"]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN.match(step):
            text += f".{step}" if text else step
        else:
            text += f"[{json.dumps(step, ensure_ascii=False)}]"
    return text


def parse_path(text: str) -> Path:
    """The inverse of `path_text`. What it can't read makes an empty path."""
    steps: list[str | int] = []
    position = 0
    while position < len(text):
        match = _STEP.match(text, position)
        if not match:
            return ()
        if match["index"]:
            steps.append(int(match["index"]))
        else:
            steps.append(match["key"] or str(json.loads(match["quoted"])))
        position = match.end()
    return tuple(steps)


def value_at(properties: Value, path: Path) -> Value | None:
    """What stands at a path, None if nothing does."""
    here = properties
    for step in path:
        here = here.value if isinstance(here, Secret) else here
        if isinstance(here, dict):
            here = here.get(step) if isinstance(step, str) else None
        elif isinstance(here, list):
            here = here[step] if isinstance(step, int) and step < len(here) else None
        else:
            return None
    return here


def with_value(properties: Properties, path: Path, value: Value) -> Properties:
    """A copy of the properties in which `value` stands at a path that leads through objects that are there."""
    result = _replaced(properties, path, value)
    return result if isinstance(result, dict) else properties


def _replaced(here: Value, path: Path, value: Value) -> Value:
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(here, Secret):
        return Secret(_replaced(here.value, path, value))
    if isinstance(here, dict) and isinstance(step, str) and (step in here or not rest):
        return {**here, step: _replaced(here.get(step), rest, value)}
    if isinstance(here, list) and isinstance(step, int) and step < len(here):
        return [*here[:step], _replaced(here[step], rest, value), *here[step + 1 :]]
    return here


def _note(found: dict[str, PropertyChange], path: Path, change: Change, replaces: Callable[[Path], bool]) -> None:
    found[path_text(path)] = PropertyChange(change, replaces(path))


def _compare(old: Value, new: Value, path: Path, note: Callable[[Path, Change], None]) -> None:
    old, new = _open(old), _open(new)
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*new, *(key for key in old if key not in new)]:
            _compare_at(key in old, key in new, old.get(key), new.get(key), (*path, key), note)
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            was, comes = index < len(old), index < len(new)
            _compare_at(was, comes, old[index] if was else None, new[index] if comes else None, (*path, index), note)
    elif not _same(reveal(old), reveal(new)):
        note(path, Change.UPDATE)


def _compare_at(
    was: bool, comes: bool, old: Value, new: Value, path: Path, note: Callable[[Path, Change], None]
) -> None:
    if was and comes:
        _compare(old, new, path, note)
    else:
        note(path, Change.ADD if comes else Change.DELETE)


def _same(old: Value, new: Value) -> bool:
    # `True == 1` in Python, but not in a manifest.
    return isinstance(old, bool) == isinstance(new, bool) and old == new


def _open(value: Value) -> Value:
    return _open(value.value) if isinstance(value, Secret) else value
