"""Where things lie in a sandbox's folder, and which parts it has."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final


class Part(StrEnum):
    """A process of the control plane, in the order of starting; the value is the name of its program too."""

    ETCD = "etcd"
    KUBE_APISERVER = "kube-apiserver"
    KUBE_CONTROLLER_MANAGER = "kube-controller-manager"
    KUBE_SCHEDULER = "kube-scheduler"
    KWOK = "kwok"


#: Those that reach the API server with a kubeconfig of their own.
CLIENTS: Final = (Part.KUBE_CONTROLLER_MANAGER, Part.KUBE_SCHEDULER, Part.KWOK)
#: The second port of etcd, for peers that it doesn't have.
ETCD_PEER: Final = "etcd-peer"
#: The names of all ports that a sandbox needs.
PORTS: Final = (*(str(part) for part in Part), ETCD_PEER)


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths in the folder of one sandbox."""

    directory: Path

    @property
    def name(self) -> str:
        """The sandbox's name."""
        return self.directory.name

    @property
    def state(self) -> Path:
        """What it remembers: identity, ports."""
        return self.directory / "state.json"

    @property
    def kubeconfig(self) -> Path:
        """The user's kubeconfig: an administrator's."""
        return self.directory / "kubeconfig"

    @property
    def pki(self) -> Path:
        """Certificates and keys."""
        return self.directory / "pki"

    @property
    def data(self) -> Path:
        """etcd's data."""
        return self.directory / "etcd"

    @property
    def logs(self) -> Path:
        """The logs of all parts."""
        return self.directory / "logs"

    def kubeconfig_of(self, part: Part) -> Path:
        """The kubeconfig with which a part reaches the API server."""
        return self.directory / "kubeconfigs" / part

    def log(self, part: Part) -> Path:
        """A part's log since it was last started; the one before has the suffix `.previous`."""
        return self.logs / f"{part}.log"

    def marker(self, part: Part) -> str:
        """The argument by which a part's process is known: none but this sandbox's has it."""
        match part:
            case Part.ETCD:
                return f"--data-dir={self.data}"
            case Part.KUBE_APISERVER:
                return f"--tls-private-key-file={self.pki / 'kube-apiserver.key'}"
            case _:
                return f"--kubeconfig={self.kubeconfig_of(part)}"
