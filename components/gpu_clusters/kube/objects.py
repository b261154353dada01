"""Reading Kubernetes objects without trusting their shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast


def mapping(value: object, *path: str) -> Mapping[str, object]:
    """The object at a path, empty if there is none."""
    found = _at(value, path)
    return cast("dict[str, object]", found) if isinstance(found, dict) else {}


def mappings(value: object, *path: str) -> list[Mapping[str, object]]:
    """The objects in the list at a path."""
    found = _at(value, path)
    items = cast("list[object]", found) if isinstance(found, list) else []
    return [cast("dict[str, object]", item) for item in items if isinstance(item, dict)]


def text(value: object, *path: str) -> str:
    """The text at a path, empty if there is none."""
    found = _at(value, path)
    return found if isinstance(found, str) else ""


def texts(value: object, *path: str) -> dict[str, str]:
    """The texts in the object at a path by their keys, such as labels."""
    return {key: item for key, item in mapping(value, *path).items() if isinstance(item, str)}


def number(value: object, *path: str) -> int | None:
    """The whole number at a path."""
    found = _at(value, path)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def condition(value: object, name: str) -> Mapping[str, object]:
    """The entry of `status.conditions` with a type, empty if there is none."""
    for item in mappings(value, "status", "conditions"):
        if item.get("type") == name:
            return item
    return {}


def _at(value: object, path: tuple[str, ...]) -> object:
    for key in path:
        if not isinstance(value, dict):
            return None
        value = cast("dict[str, object]", value).get(key)
    return value
