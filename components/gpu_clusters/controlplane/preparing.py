"""Puts on the disk what must lie there before the first process of a sandbox starts."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gpu_clusters._files import write_atomically
from gpu_clusters._paths import STATE_VARIABLE
from gpu_clusters.controlplane import kubeconfig, ports, processes, starting
from gpu_clusters.controlplane.layout import CLIENTS, ETCD_PEER, PORTS, Layout, Part
from gpu_clusters.controlplane.locks import locked
from gpu_clusters.controlplane.state import State, load
from gpu_clusters.errors import OperationError, UsageError

if TYPE_CHECKING:
    from gpu_clusters.controlplane.certificates import KeyPair

_LOCK_SECONDS: Final = 30.0
# etcd's logs take 128 MB from the first minute on, and it dies without a word when it runs out of space.
_SPACE_BYTES: Final = 300 * 10**6
_STOP_SECONDS: Final = 3.0
_ADMIN: Final = "admin"


def prepare(layout: Layout, port: int | None, taken: Collection[int]) -> State:
    """Make or complete a sandbox's folder: ports, certificates, kubeconfigs. The caller holds the sandbox's lock.

    Processes that use what had to be made anew are ended.

    Args:
        layout: the sandbox's folder.
        port: the API server's port that the user asks for, if any.
        taken: ports of other sandboxes, running or not.

    Raises:
        OperationError: the port is in use, the disk is full, or what lies there can't be used.
        UsageError: the API server runs on another port.
    """
    from gpu_clusters.controlplane import certificates

    free = shutil.disk_usage(layout.directory.parent).free
    if free < _SPACE_BYTES:
        raise OperationError(
            f"{layout.directory.parent} has {free // 10**6} MB free, and a sandbox needs {_SPACE_BYTES // 10**6}",
            f"free some, or name another folder in {STATE_VARIABLE}",
        )
    before = load(layout.state)
    if before is None and layout.data.exists():
        raise OperationError(
            f"{layout.state} is gone, but the data is there",
            f"delete it: `gpu-clusters sandbox stop --delete-data --name {layout.name}`",
        )
    # Two sandboxes that choose at once must not choose the same. No sandbox's name has a dot, and so none its lock.
    with locked(layout.directory.parent / ".ports.of-all.lock", _LOCK_SECONDS):
        state = _with_free_ports(layout, before, port, taken)
        layout.logs.mkdir(parents=True, exist_ok=True)
        layout.directory.chmod(0o700)
        state.save(layout.state)
    made = certificates.ensure(layout.pki)
    if made or (before is not None and before.ports != state.ports):
        processes.terminate([pid for pids in starting.running(layout).values() for pid in pids], _STOP_SECONDS)
    _write_kubeconfigs(layout, state)
    return state


def client_kubeconfig(layout: Layout, state: State, user: str, groups: Sequence[str]) -> str:
    """A kubeconfig with a new certificate for any user and groups."""
    from gpu_clusters.controlplane import certificates

    return _render(layout, state, user, certificates.client(layout.pki, user, groups))


def _with_free_ports(layout: Layout, before: State | None, port: int | None, taken: Collection[int]) -> State:
    """The ports of the last start, as far as they can be had, and new ones for the rest."""
    up = starting.running(layout)
    state = before or State.new(dict(zip(PORTS, ports.free(len(PORTS), taken), strict=True)))
    served = state.ports[Part.KUBE_APISERVER]
    if not up[Part.KUBE_APISERVER]:
        fixed = port is not None or state.port_fixed
        served = _api_port(port or served, fixed, taken)
        state = replace(state.with_ports({Part.KUBE_APISERVER: served}), port_fixed=fixed)
    elif port not in (None, served):
        raise UsageError(
            f"the sandbox `{layout.name}` already runs on port {served}",
            f"stop it first: `gpu-clusters sandbox stop --name {layout.name}`",
        )
    for name in PORTS:
        part = Part.ETCD if name == ETCD_PEER else Part(name)
        own = state.ports[name]
        if part is not Part.KUBE_APISERVER and not up[part] and (own == served or not ports.gets_free(own)):
            state = state.with_ports({name: ports.free(1, {*taken, *state.ports.values()})[0]})
    return state


def _api_port(wanted: int, fixed: bool, taken: Collection[int]) -> int:
    if ports.gets_free(wanted):
        return wanted
    if not fixed:
        return ports.free(1, taken)[0]
    holder = ports.holder(wanted)
    raise OperationError(
        f"port {wanted} is in use" + (f" by {holder}" if holder else ""),
        "end the program that has it, or choose another port with --port",
    )


def _write_kubeconfigs(layout: Layout, state: State) -> None:
    from gpu_clusters.controlplane import certificates

    _write(layout.kubeconfig, _render(layout, state, _ADMIN, certificates.read(layout.pki, _ADMIN)))
    for part in CLIENTS:
        content = _render(layout, state, part, certificates.read(layout.pki, part))
        _write(layout.kubeconfig_of(part), content)


def _write(path: Path, content: str) -> None:
    # Whoever watches the file should not see it change at every start.
    if not path.exists() or path.read_bytes() != content.encode():
        write_atomically(path, content, mode=0o600)


def _render(layout: Layout, state: State, user: str, pair: KeyPair) -> str:
    return kubeconfig.render(
        sandbox=layout.name,
        identity=state.identity,
        port=state.ports[Part.KUBE_APISERVER],
        authority=layout.pki / "ca.crt",
        user=str(user),
        certificate=pair.certificate,
        key=pair.key,
    )
