"""YAML as Kubernetes's own tools read it."""

from __future__ import annotations

from functools import cache
from typing import Final, cast

import yaml

from gpu_clusters.rehearsal.providers.values import Properties, Value

# JSON has no dates, and `=` is a word in the definitions of prometheus-operator.
_LEFT_AS_TEXT: Final = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value")


def documents(content: str) -> list[Properties]:
    """The objects of a file, lists (`kind: List`) taken apart.

    Raises:
        yaml.YAMLError: it can't be read.
    """
    found = list(cast("list[Value]", yaml.load_all(content, _loader())))
    return [part for item in found if isinstance(item, dict) for part in _parts(item)]


def _parts(item: Properties) -> list[Properties]:
    items = item.get("items")
    if str(item.get("kind")).endswith("List") and isinstance(items, list):
        return [part for part in items if isinstance(part, dict)]
    return [item]


@cache
def _loader() -> type[yaml.CSafeLoader]:
    # libyaml's, since the definitions of an add-on are megabytes.
    class Loader(yaml.CSafeLoader):
        pass

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in _LEFT_AS_TEXT]
        for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }
    return Loader
