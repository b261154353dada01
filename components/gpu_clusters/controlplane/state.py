"""What a sandbox remembers between starts."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar, cast

from gpu_clusters._files import write_atomically
from gpu_clusters.errors import OperationError

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The content of `state.json`.

    Args:
        identity: made with the sandbox's data; data made anew has another one.
        ports: the port of each part, by the part's name. etcd's second one, for its peers, is `etcd-peer`.
        port_fixed: whether the user asked for the API server's port: then no other one will do.
        starts: how often kwok was started on this data.
        version: the API server's, e.g. `v1.36.3`; None before it was ready for the first time.
    """

    identity: str
    ports: Mapping[str, int]
    port_fixed: bool = False
    starts: int = 0
    version: str | None = None

    @classmethod
    def new(cls, ports: Mapping[str, int]) -> State:
        """The state of data that is about to be made."""
        return cls(identity=str(uuid.uuid4()), ports=ports)

    def with_ports(self, ports: Mapping[str, int]) -> State:
        """The same with some ports replaced."""
        return replace(self, ports={**self.ports, **ports})

    def save(self, path: Path) -> None:
        """Write it, whole or not at all."""
        document = {
            "identity": self.identity,
            "ports": dict(self.ports),
            "portFixed": self.port_fixed,
            "starts": self.starts,
            "version": self.version,
        }
        write_atomically(path, json.dumps(document, indent=2) + "\n", mode=0o600)


def load(path: Path) -> State | None:
    """Read it; None if there is none.

    Raises:
        OperationError: it can't be read. Only other programs or a failing disk do that: it is written as a whole.
    """
    try:
        document = cast("dict[str, object]", json.loads(path.read_bytes()))
        ports = cast("dict[str, object]", document["ports"])
        version = document.get("version")
        return State(
            identity=_checked(document["identity"], str),
            ports={name: _checked(port, int) for name, port in ports.items()},
            port_fixed=_checked(document["portFixed"], bool),
            starts=_checked(document["starts"], int),
            version=None if version is None else _checked(version, str),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise OperationError(
            f"{path} can't be read ({error or type(error).__name__})",
            f"delete the sandbox's data: `gpu-clusters sandbox stop --delete-data --name {path.parent.name}`",
        ) from error


def _checked(value: object, kind: type[_T]) -> _T:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value
