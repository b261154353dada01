"""Which provider packages a program may use, and what stands in for each: every one, whatever is installed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Final

from gpu_clusters.rehearsal.engine.project import as_mapping
from gpu_clusters.rehearsal.providers import SimulatedProvider
from gpu_clusters.rehearsal.providers.generic import SimulatedGeneric
from gpu_clusters.rehearsal.providers.refusing import SimulatedCommand, dynamic_providers
from gpu_clusters.rehearsal.world import Journal

#: The SDK's own description of the plugin that it needs (pulumi/pulumi, pkg/codegen/python/gen.go).
_DESCRIPTION: Final = "pulumi-plugin.json"
_PLUGIN: Final = "pulumi-resource-"
_SERVED_OTHERWISE: Final = frozenset({"kubernetes", "aws", "command", "pulumi-python"})
#: Of a package of which no SDK is installed: programs may declare its types themselves.
_NO_VERSION: Final = "0.0.0"


def other_providers(journal: Journal, engine: Path) -> list[SimulatedProvider]:
    """Stand-ins for all packages but `kubernetes` and `aws`.

    That is for those whose SDK is installed, and for those whose plugin lies beside the engine, where it would find
    it whatever is set.
    """
    installed = installed_packages([Path(entry) for entry in sys.path if entry])
    beside = {path.name.removeprefix(_PLUGIN): _NO_VERSION for path in engine.parent.glob(f"{_PLUGIN}*")}
    known = {**{Path(name).stem: version for name, version in beside.items()}, **installed}
    return [
        SimulatedCommand(known.get("command", _NO_VERSION), journal),
        dynamic_providers(metadata.version("pulumi"), journal),
        *(SimulatedGeneric(name, known[name], journal) for name in sorted(known.keys() - _SERVED_OTHERWISE)),
    ]


def stand_in(name: str, journal: Journal) -> SimulatedProvider:
    """For a package of which nothing is installed: a program has declared its types itself."""
    return SimulatedGeneric(name, _NO_VERSION, journal)


def installed_packages(folders: Iterable[Path]) -> dict[str, str]:
    """The provider packages whose Python SDK can be imported from `folders`, with its version."""
    found: dict[str, str] = {}
    for folder in folders:
        for path in _descriptions(folder):
            content: object = None
            with suppress(OSError, ValueError):
                content = json.loads(path.read_bytes())
            described = as_mapping(content)
            if described.get("resource") is True:
                name = str(described.get("name") or path.parent.name.removeprefix("pulumi_").replace("_", "-"))
                found.setdefault(name, str(described.get("version") or _NO_VERSION).removeprefix("v"))
    return found


def _descriptions(folder: Path) -> Sequence[Path]:
    try:
        return sorted(folder.glob(f"*/{_DESCRIPTION}"))
    except OSError:
        return ()
