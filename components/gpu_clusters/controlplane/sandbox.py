"""A sandbox: a real control plane on loopback with simulated nodes, as processes of this user."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Final

from gpu_clusters import _paths
from gpu_clusters._files import remove_if_empty
from gpu_clusters.controlplane import locks, preparing, processes, starting
from gpu_clusters.controlplane.layout import CLIENTS, Layout, Part
from gpu_clusters.controlplane.parts import Health
from gpu_clusters.controlplane.ports import LOOPBACK
from gpu_clusters.controlplane.state import State, load
from gpu_clusters.controlplane.status import PartStatus, SandboxState, SandboxStatus, tail
from gpu_clusters.errors import OperationError, UsageError

#: Set to anything, a sandbox whose kubeconfig is asked for is started if it isn't there: in rehearsals.
ON_DEMAND_VARIABLE: Final = "GPU_CLUSTERS_SANDBOXES_ON_DEMAND"
# A start on a slow machine under load takes this long at most.
_LOCK_SECONDS: Final = 180.0
_STATUS_LINES: Final = 10
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
#: In the order of stopping: nobody is left without the one that it needs. With the seconds that each gets to end.
_STOPPING: Final[tuple[tuple[tuple[Part, ...], float], ...]] = (
    (CLIENTS, 3.0),
    # Its state is in etcd; what would keep it are the watches of clients that are still there.
    ((Part.KUBE_APISERVER,), 2.0),
    ((Part.ETCD,), 10.0),
)


class Sandbox:
    """One sandbox of this user, running or not.

    etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kwok, which plays the nodes that have the
    annotation `kwok.x-k8s.io/node: fake`. Several may run at once under different names.

    Args:
        name: a DNS label, as for a namespace: lower-case letters, digits and dashes, at most 63.

    Raises:
        UsageError: the name can't be used.
    """

    def __init__(self, name: str = "default") -> None:
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"`{name}` can't be the name of a sandbox",
                "use 1 to 63 lower-case letters, digits and dashes, with a letter or digit at both ends",
            )
        self.name = name
        self._layout = Layout(_root() / name)

    @property
    def kubeconfig_path(self) -> Path:
        """The file of an administrator's kubeconfig, which is there once the sandbox has been started."""
        return self._layout.kubeconfig

    def start(
        self,
        *,
        port: int | None = None,
        programs: Mapping[str, Path] | None = None,
        report: Callable[[str], None] | None = None,
    ) -> SandboxStatus:
        """Start what isn't running, and return when the whole sandbox works.

        What runs already is left alone, unless it doesn't say within a few seconds that it works. If it fails or is
        interrupted, what it started is stopped again.

        Args:
            port: the API server's; default: the one of the last start, at first any that is free.
            programs: the file of each part's program by the program's name; default: found or built by the toolchain.
            report: told in a few words what is being done.

        Raises:
            OperationError: a part ends or doesn't get ready, the port is in use, the disk is full and so on.
            UsageError: the sandbox already runs on another port.
        """
        before = self.status()
        if before.state == "running" and before.kubeconfig is not None and (port is None or before.port == port):
            return before
        say = report or _say_nothing
        found = starting.programs(programs, say)
        with self._exclusively("started"):
            _sweep(self.name)
            state = preparing.prepare(self._layout, port, _ports_of_others(self.name))
            starting.Start(self._layout, found, state, say).run()
        return self.status()

    def stop(self, *, delete_data: bool = False) -> bool:
        """Stop every process of the sandbox, and return when none is left.

        Args:
            delete_data: delete its folder too: objects, certificates, kubeconfig, logs. With the last sandbox goes all
                that was kept for sandboxes.

        Returns:
            Whether there was anything to stop or delete.

        Raises:
            OperationError: a process can't be ended, or a file can't be deleted.
        """
        if not self._layout.directory.exists() and not (delete_data and _root().exists()):
            return False
        with self._exclusively("stopped"):
            running = self._running()
            for group, grace_seconds in _STOPPING:
                processes.terminate([pid for part in group for pid in running[part]], grace_seconds)
            there = delete_data and self._layout.directory.exists()
            if there:
                # A name of its own first: half a folder never passes for a sandbox.
                self._layout.directory.replace(tempfile.mkdtemp(dir=_root(), prefix=f".{self.name}.deleted-"))
            _sweep(self.name)
        if delete_data:
            _remove_traces()
        return there or any(running.values())

    def status(self) -> SandboxStatus:
        """Ask every part how it is.

        Raises:
            OperationError: the sandbox's state can't be read.
        """
        if not self._layout.directory.exists():
            return SandboxStatus(name=self.name, state="absent")
        state = load(self._layout.state)
        running = self._running()
        health = None if state is None else Health(self._layout, state)
        found = tuple(self._part(part, running[part], health) for part in Part)
        if all(part.state == "stopped" for part in found):
            # Down on purpose: there is nothing to explain.
            found = tuple(PartStatus(name=part.name, state="stopped") for part in found)
        return SandboxStatus(
            name=self.name,
            state=_whole(found),
            parts=found,
            server=None if state is None else f"https://{LOOPBACK}:{state.ports[Part.KUBE_APISERVER]}",
            kubeconfig=self.kubeconfig_path if self.kubeconfig_path.exists() else None,
            version=None if state is None else state.version,
            identity=None if state is None else state.identity,
        )

    def kubeconfig(self) -> str:
        """Read an administrator's kubeconfig.

        Raises:
            OperationError: the sandbox has never been started.
        """
        if os.environ.get(ON_DEMAND_VARIABLE):
            self.start()
        try:
            return self.kubeconfig_path.read_text()
        except OSError:
            raise self._never_started() from None

    def client_kubeconfig(self, user: str, groups: Sequence[str] = ()) -> str:
        """Make a kubeconfig for any user and groups, good for a year; what they may do is up to RBAC.

        Raises:
            OperationError: the sandbox has never been started.
        """
        state = load(self._layout.state)
        if state is None or not self.kubeconfig_path.exists():
            raise self._never_started()
        return preparing.client_kubeconfig(self._layout, state, user, groups)

    def identity(self) -> str | None:
        """What tells this sandbox's data from data made anew under the same name; None if there is none."""
        state = load(self._layout.state)
        return None if state is None else state.identity

    def logs(self, part: str, lines: int = 100) -> tuple[str, ...]:
        """Read the last lines of a part's log since its last start.

        Raises:
            UsageError: there is no such part.
        """
        return tail(self.log_path(part), lines)

    def log_path(self, part: str) -> Path:
        """The file of a part's log; a new start begins a new one and keeps the old one with the suffix `.previous`.

        Raises:
            UsageError: there is no such part.
        """
        if part not in tuple(Part):
            raise UsageError(f"a sandbox has no part `{part}`", f"name one of {', '.join(Part)}")
        return self._layout.log(Part(part))

    def _running(self) -> dict[Part, tuple[int, ...]]:
        return starting.running(self._layout)

    def _part(self, part: Part, pids: tuple[int, ...], health: Health | None) -> PartStatus:
        if pids and health is not None and health.is_healthy(part):
            return PartStatus(name=str(part), state="running", pid=pids[0])
        log = tail(self._layout.log(part), _STATUS_LINES)
        if pids:
            return PartStatus(name=str(part), state="unhealthy", pid=pids[0], log=log)
        return PartStatus(name=str(part), state="stopped", log=log)

    @contextlib.contextmanager
    def _exclusively(self, done: str) -> Generator[None]:
        try:
            with locks.locked(_root() / f".{self.name}.lock", _LOCK_SECONDS):
                yield
        except OSError as error:
            raise OperationError(
                f"the sandbox `{self.name}` can't be {done}: {error}",
                f"see that there is space and that you may write in {_root()}",
            ) from error

    def _never_started(self) -> OperationError:
        name = "" if self.name == "default" else f" --name {self.name}"
        return OperationError(
            f"the sandbox `{self.name}` has never been started", f"start it: `gpu-clusters sandbox start{name}`"
        )


def sandboxes() -> tuple[str, ...]:
    """The names of the sandboxes that have data, running or not, sorted."""
    try:
        return tuple(sorted(entry.name for entry in _root().iterdir() if _NAME.fullmatch(entry.name)))
    except (FileNotFoundError, NotADirectoryError):
        return ()


def _root() -> Path:
    # Resolved, as the folder is what processes are known by: one folder must not have two spellings.
    return _paths.state_dir().resolve() / "sandboxes"


def _sweep(name: str) -> None:
    """Delete what deletions of a sandbox that were killed have left. The caller holds its lock."""
    for leftover in _root().glob(f".{name}.deleted-*"):
        shutil.rmtree(leftover)


def _remove_traces() -> None:
    """Remove the locks of sandboxes that are no more, and the folders that they alone keep."""
    # A trace that can't be removed is no reason to fail: the next deletion will try again.
    with contextlib.suppress(OSError):
        locks.remove_unused(_root(), _is_used)
        remove_if_empty(_paths.state_dir())


def _is_used(lock: Path) -> bool:
    name = lock.name.removeprefix(".").removesuffix(".lock")
    _sweep(name)
    return (_root() / name).exists()


def _ports_of_others(name: str) -> frozenset[int]:
    others: list[State | None] = []
    for other in sandboxes():
        # Another sandbox whose state can't be read is no reason not to start this one.
        with contextlib.suppress(OperationError):
            others.append(load(Layout(_root() / other).state) if other != name else None)
    return frozenset(port for state in others if state is not None for port in state.ports.values())


def _whole(found: Sequence[PartStatus]) -> SandboxState:
    states = {part.state for part in found}
    if states == {"running"}:
        return "running"
    return "stopped" if states == {"stopped"} else "degraded"


def _say_nothing(_message: str) -> None:
    pass
