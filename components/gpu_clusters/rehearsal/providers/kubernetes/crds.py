"""The CustomResourceDefinitions of well-known add-ons, from their pinned Go modules.

A rehearsal installs them in place of a chart that isn't on this machine, so that custom resources are checked against
the real schemas. They are fetched once, and kept in the cache folder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final, cast

import yaml

from gpu_clusters._files import write_atomically
from gpu_clusters._paths import cache_dir
from gpu_clusters.data import rows
from gpu_clusters.errors import OperationError
from gpu_clusters.kube.objects import text
from gpu_clusters.rehearsal.providers.kubernetes.objects import mapping
from gpu_clusters.rehearsal.providers.kubernetes.yamls import documents
from gpu_clusters.rehearsal.providers.values import Properties, Value
from gpu_clusters.toolchain.gomodules import GoModule, module_files

_KIND: Final = "CustomResourceDefinition"


@dataclass(frozen=True, slots=True, kw_only=True)
class Addon:
    """A row of `data/crd_modules.csv`.

    Attributes:
        charts: the names of charts that install the definitions.
        folder: where they lie in the module.
        switches: values of the chart with their defaults; one that is true makes it install them. None: it always does.
    """

    name: str
    charts: tuple[str, ...]
    module: GoModule
    folder: str
    switches: Mapping[str, bool]


@cache
def addons() -> tuple[Addon, ...]:
    """All add-ons whose definitions are known."""
    return tuple(
        Addon(
            name=row["addon"],
            charts=tuple(row["charts"].split()),
            module=GoModule(path=row["module"], version=row["version"], checksum=row["checksum"]),
            folder=row["folder"],
            switches=_switches(row["switches"]),
        )
        for row in rows("crd_modules")
    )


def addon_of(chart: str) -> Addon | None:
    """The add-on that a chart installs, by its name or any reference to it (`oci://...`, `repository/name`, a URL)."""
    name = re.sub(r"(-v?\d[^/]*)?\.tgz$", "", chart.rstrip("/").rpartition("/")[2])
    return next((addon for addon in addons() if name in addon.charts), None)


def crds_for(chart: str) -> list[Properties]:
    """The definitions that a chart brings, without those of its webhooks; none for a chart that isn't known.

    Raises:
        OperationError: they aren't in the cache folder and can't be fetched.
    """
    addon = addon_of(chart)
    return definitions(addon) if addon else []


def definitions(addon: Addon) -> list[Properties]:
    """The definitions of an add-on.

    Raises:
        OperationError: they aren't in the cache folder and can't be fetched.
    """
    pin = re.sub(r"\W", "", addon.module.checksum)[2:14]
    kept = cache_dir() / "crds" / f"{addon.name}-{addon.module.version}-{pin}.json"
    try:
        return cast("list[Properties]", json.loads(kept.read_bytes()))
    except (OSError, ValueError):
        found = _fetched(addon)
    try:
        write_atomically(kept, json.dumps(found))
    except OSError as error:
        raise OperationError(f"{kept} can't be written: {error}", "see that the folder can be written to") from error
    return found


def asked_for(addon: Addon, values: Properties) -> bool:
    """Whether a chart with these values installs the definitions."""
    if not addon.switches:
        return True
    given = {key: _value_at(values, key.split(".")) for key in addon.switches}
    return any(default if given[key] is None else given[key] is True for key, default in addon.switches.items())


def without_webhook(definition: Properties) -> Properties:
    """A definition that asks no webhook to convert between versions: in a rehearsal none runs."""
    if text(definition, "spec", "conversion", "strategy") != "Webhook":
        return definition
    return {**definition, "spec": {**mapping(definition, "spec"), "conversion": {"strategy": "None"}}}


def _switches(cell: str) -> dict[str, bool]:
    pairs = (item.partition("=") for item in cell.split())
    return {path: value == "true" for path, _, value in pairs}


def _fetched(addon: Addon) -> list[Properties]:
    files = module_files(addon.module, addon.folder)
    found: list[Properties] = []
    for name, content in files.items():
        if name.endswith((".yaml", ".yml")):
            try:
                found += [without_webhook(item) for item in documents(content.decode()) if item.get("kind") == _KIND]
            except (ValueError, yaml.YAMLError) as error:
                raise OperationError(f"{name} of {addon.module} can't be read: {error}", "report it, please") from error
    if not found:
        raise OperationError(f"{addon.module} holds no definitions in {addon.folder}", "report it, please")
    return found


def _value_at(values: Value, path: list[str]) -> Value:
    for key in path:
        if not isinstance(values, dict):
            return None
        values = values.get(key)
    return values
