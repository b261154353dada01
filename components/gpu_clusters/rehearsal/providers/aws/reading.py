"""Reading of property values: what is known of them, without secret marks."""

from __future__ import annotations

from collections.abc import Generator

from gpu_clusters.rehearsal.providers.values import Properties, Secret, Value


def at(value: Value, *path: str) -> Value:
    """What stands at a path of keys; None where nothing does."""
    for key in path:
        value = opened(value)
        if isinstance(value, list):
            # Terraform's schema has one-item lists where the SDK has objects.
            value = value[0] if value else None
        value = value.get(key) if isinstance(value, dict) else None
    return opened(value)


def text(value: Value, *path: str) -> str:
    """A known text at a path, else the empty text. A number counts as its digits."""
    found = at(value, *path)
    if isinstance(found, bool):
        return str(found).lower()
    return str(found) if isinstance(found, str | int | float) else ""


def number(value: Value, *path: str) -> int | None:
    """A known whole number at a path."""
    found = at(value, *path)
    if isinstance(found, str) and found.lstrip("-").isdigit():
        return int(found)
    return int(found) if isinstance(found, int | float) and not isinstance(found, bool) else None


def flag(value: Value, *path: str) -> bool:
    """Whether a path says true."""
    return at(value, *path) in (True, "true")


def items(value: Value, *path: str) -> list[Value]:
    """A known list at a path; empty where there is none."""
    found = at(value, *path)
    return [opened(item) for item in found] if isinstance(found, list) else []


def texts(value: Value, *path: str) -> list[str]:
    """The known texts of a list at a path."""
    return [item for item in items(value, *path) if isinstance(item, str)]


def objects(value: Value, *path: str) -> list[Properties]:
    """The known objects of a list at a path; an object alone is a list of one."""
    found = at(value, *path)
    return [item for item in ([found] if isinstance(found, dict) else items(value, *path)) if isinstance(item, dict)]


def opened(value: Value) -> Value:
    """The value without the secret marks around it."""
    return opened(value.value) if isinstance(value, Secret) else value


def leaves(value: Value, path: str = "") -> Generator[tuple[str, Value]]:
    """Every scalar in a value with its path: `vpcConfig.subnetIds[0]`."""
    value = opened(value)
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, f"{path}[{index}]")
    else:
        yield path, value
