"""Where the Pulumi resource plugins that the user has installed are."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from gpu_clusters.toolchain.versions import Version


def pulumi_home() -> Path:
    """Pulumi's own folder on this machine: `PULUMI_HOME`, by default `~/.pulumi`."""
    return Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")


def installed_plugin(name: str) -> Path | None:
    """The executable of the resource plugin `name` (`kubernetes`), where Pulumi would find it; None if nowhere.

    Pulumi's own order: `PATH` unless `PULUMI_IGNORE_AMBIENT_PLUGINS` is set, then the newest in `PULUMI_HOME`.
    """
    executable = f"pulumi-resource-{name}"
    ignored = os.environ.get("PULUMI_IGNORE_AMBIENT_PLUGINS", "").lower() in {"1", "true"}
    if not ignored and (ambient := shutil.which(executable)):
        return Path(ambient)
    found = [
        (version, folder / executable)
        for folder in (pulumi_home() / "plugins").glob(f"resource-{name}-v*")
        if (version := Version.parse(folder.name.removeprefix(f"resource-{name}-v")))
        and os.access(folder / executable, os.X_OK)
    ]
    return max(found)[1] if found else None


def plugin_version(plugin: Path) -> Version | None:
    """The version of an installed plugin, which stands in its folder's name; None for one that lies on `PATH`."""
    _, _, version = plugin.parent.name.partition("-v")
    return Version.parse(version) if plugin.parent.name.startswith("resource-") else None
