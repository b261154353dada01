"""The resources in the state of a rehearsed stack, read from its backend."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gpu_clusters.rehearsal.engine.events import STACK_TYPE
from gpu_clusters.rehearsal.engine.project import as_mapping, as_mappings

_PROVIDER: Final = "pulumi:providers:"


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A resource as the engine has recorded it.

    Attributes:
        ready: it came up; else it was made, but isn't as it should be.
        external: it was only read.
        protected, retained: as the program said.
    """

    type: str
    name: str
    ready: bool
    external: bool
    protected: bool
    retained: bool

    def __str__(self) -> str:
        return f"{self.type} {self.name}"


def recorded(state: Path | None) -> tuple[Recorded, ...]:
    """The resources in a state file, but for the stack itself and providers; none if there is no such file."""
    content: object = None
    if state is not None:
        with suppress(OSError, ValueError):
            content = json.loads(state.read_bytes())
    latest = as_mapping(as_mapping(as_mapping(content).get("checkpoint")).get("latest"))
    return tuple(
        _recorded(resource)
        for resource in as_mappings(latest.get("resources"))
        if resource.get("type") != STACK_TYPE and not str(resource.get("type")).startswith(_PROVIDER)
    )


def _recorded(resource: Mapping[str, object]) -> Recorded:
    return Recorded(
        type=str(resource.get("type")),
        name=str(resource.get("urn")).split("::", 3)[-1],
        ready=not resource.get("initErrors") and not resource.get("delete"),
        external=resource.get("external") is True,
        protected=resource.get("protect") is True,
        retained=resource.get("retainOnDelete") is True,
    )
