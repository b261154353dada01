"""What a sandbox says about itself."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

PartState = Literal["running", "unhealthy", "stopped"]
SandboxState = Literal["running", "degraded", "stopped", "absent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PartStatus:
    """One process of a sandbox.

    Args:
        name: the program's name, e.g. `kube-apiserver`.
        state: `unhealthy` if the process is there but doesn't say that it works.
        pid: the process's id; None if it is stopped.
        log: the last lines of its log if it is down although others run, else none.
    """

    name: str
    state: PartState
    pid: int | None = None
    log: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxStatus:
    """A sandbox and its parts.

    Args:
        name: the sandbox's name.
        state: `running` if every part works, `degraded` if some do, `stopped` if none does but there is data, `absent`
            if there is no data either.
        parts: every part, in the order of starting; none if it is absent.
        server: the API server's URL, whether or not it runs.
        kubeconfig: the file of an administrator's kubeconfig.
        version: the API server's, e.g. `v1.36.3`.
        identity: made with the data; data made anew has another one.
    """

    name: str
    state: SandboxState
    parts: tuple[PartStatus, ...] = ()
    server: str | None = None
    kubeconfig: Path | None = None
    version: str | None = None
    identity: str | None = None

    @property
    def port(self) -> int | None:
        """The API server's port."""
        return None if self.server is None else int(self.server.rpartition(":")[2])

    def to_json(self) -> dict[str, object]:
        """The document of `gpu-clusters sandbox status --json`: every key is always there."""
        return {
            "name": self.name,
            "state": self.state,
            "server": self.server,
            "kubeconfig": None if self.kubeconfig is None else str(self.kubeconfig),
            "version": self.version,
            "identity": self.identity,
            "parts": [
                {"name": part.name, "state": part.state, "pid": part.pid, "log": list(part.log)} for part in self.parts
            ],
        }


def tail(path: Path, lines: int) -> tuple[str, ...]:
    """The last lines of a log, from the start before this one if this one has none yet."""
    for candidate in (path, path.with_suffix(".previous")):
        try:
            with candidate.open(errors="replace") as file:
                last = deque(file, maxlen=lines)
        except FileNotFoundError:
            continue
        if last:
            return tuple(line.rstrip("\n") for line in last)
    return ()
