"""The project's files as a rehearsal's engine gets them: a copy, without what leads out of it.

Left out are plugins and packages (every provider is simulated), backends, and environments of Pulumi ESC. An encrypted
value is replaced by one that says so: nobody has to hand over a passphrase or a key to rehearse, and no secret can get
into a report.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import yaml

from gpu_clusters._files import write_atomically
from gpu_clusters.rehearsal.engine.project import Stack, as_mapping
from gpu_clusters.rehearsal.engine.workspace import Workspace
from gpu_clusters.rehearsal.isolation import backend

_LEFT_OUT: Final = frozenset({"stackConfigDir", "backend", "plugins", "packages"})
_SECURE: Final = "secure"


@dataclass(frozen=True)
class Copied:
    """What became of a stack's file in the copy.

    Attributes:
        simulated: the keys of encrypted values, which have simulated ones now.
        left_out: what of the file a rehearsal can't have.
    """

    simulated: tuple[str, ...]
    left_out: tuple[str, ...]


def rehearsal_workspace(stack: Stack, folder: Path) -> Workspace:
    """A copy of the project's settings, with a backend of its own; `write_stack` adds the stack's file."""
    directory = folder / "project"
    settings = {key: value for key, value in stack.project.settings.items() if key not in _LEFT_OUT}
    # The program stays where it is: paths of assets are relative to it.
    settings["main"] = str(stack.project.program.parent)
    _write(directory / "Pulumi.yaml", settings)
    state = backend(folder) / ".pulumi" / "stacks" / stack.project.name / f"{stack.short_name}.json"
    return Workspace(directory, {}, state)


def write_stack(stack: Stack, place: Workspace, settings: Mapping[str, object]) -> Copied:
    """Give the engine a configuration for the stack: its own, or an earlier one."""
    simulated: list[str] = []
    config = as_mapping(settings.get("config"))
    content = {key: _simulated(value, key, simulated) for key, value in config.items()}
    _write(place.directory / f"Pulumi.{stack.short_name}.yaml", {"config": content})
    left_out = ("environment (Pulumi ESC)",) if settings.get("environment") else ()
    return Copied(tuple(dict.fromkeys(simulated)), left_out)


def _simulated(value: object, key: str, found: list[str]) -> object:
    if isinstance(value, dict):
        items = cast("Mapping[str, object]", value)
        if set(items) == {_SECURE}:
            found.append(key)
            return f"simulated-{key.rpartition(':')[2]}"
        return {name: _simulated(item, key, found) for name, item in items.items()}
    if isinstance(value, list):
        return [_simulated(item, key, found) for item in cast("list[object]", value)]
    return value


def _write(path: Path, content: Mapping[str, object]) -> None:
    write_atomically(path, yaml.safe_dump(dict(content), sort_keys=False), mode=0o600)
