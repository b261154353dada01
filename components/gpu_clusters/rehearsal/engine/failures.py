"""What to do about what Pulumi itself complains of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from gpu_clusters.rehearsal.engine.events import ResourceError, readable

_REMEDIES: Final = (
    (r"incorrect passphrase", "set PULUMI_CONFIG_PASSPHRASE to the passphrase that the stack was made with"),
    (r"passphrase must be set", "set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE"),
    (r"PULUMI_ACCESS_TOKEN must be set", "log in with `pulumi login`, or set PULUMI_BACKEND_URL"),
    (r"no stack named", "make it with `pulumi stack init`, or bring it up first"),
    (r"currently locked by|Another update is currently in progress", "wait for the other run, or `pulumi cancel`"),
    (r"connection refused|Connection refused", "see that the API server runs, then run the same command again"),
)
_PLUGIN: Final = re.compile(r"pulumi-resource-(?P<name>[a-z0-9-]+)'?(?: at version v?(?P<version>[0-9][^\s,']*))?")
_AGAIN: Final = "put right what is said below, then run the same command again: what was done is kept"
#: Of a command that failed before its engine could say anything: the last lines that it wrote.
_LINES: Final = 20
_EMPTY_PHRASES: Final = ("update failed", "preview failed", "refresh failed", "destroy failed", "update canceled")


def remedy(errors: Sequence[ResourceError]) -> str:
    """What to do about `errors`, as far as it is known."""
    text = "\n".join(error.message for error in errors)
    if plugin := _PLUGIN.search(text):
        version = f" v{plugin['version']}" if plugin["version"] else ""
        return f"install the missing plugin: pulumi plugin install resource {plugin['name']}{version}"
    return next((advice for pattern, advice in _REMEDIES if re.search(pattern, text)), _AGAIN)


def missing_plugins(errors: Sequence[ResourceError]) -> frozenset[str]:
    """The packages whose plugins the engine has looked for in vain."""
    return frozenset(found["name"] for error in errors for found in _PLUGIN.finditer(error.message))


def meaningful(errors: Sequence[ResourceError]) -> tuple[ResourceError, ...]:
    """`errors` without those that only say that there are errors."""
    return tuple(error for error in errors if error.message.strip() not in _EMPTY_PHRASES)


def complaints(stdout: str, stderr: str) -> tuple[ResourceError, ...]:
    """What a command that sent no events wrote as its errors."""
    text = readable(stderr) or readable(stdout)
    found = [line.removeprefix("error: ") for line in text.splitlines() if line.startswith("error: ")]
    lines = [line for line in text.splitlines() if line.strip()][-_LINES:]
    return tuple(ResourceError(None, message) for message in (found or lines or ["it said nothing"]))
