"""Brings a sandbox up: whatever was there before, in the end every part works, or what was begun is undone."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, cast

from gpu_clusters.controlplane import parts, processes
from gpu_clusters.controlplane.layout import CLIENTS, Layout, Part
from gpu_clusters.controlplane.state import State
from gpu_clusters.controlplane.status import tail
from gpu_clusters.errors import OperationError, UsageError

#: Told in a few words what is being done.
Say = Callable[[str], None]

_POLL_SECONDS: Final = 0.03
_READY_SECONDS: Final = 120.0
# A part that ran before and doesn't work is given this long, then it is started anew.
_RECOVERY_SECONDS: Final = 6.0
# Then it hangs, and won't hear a SIGTERM either.
_HUNG_SECONDS: Final = 0.5
_STOP_SECONDS: Final = 3.0
_ERROR_LINES: Final = 25


def programs(given: Mapping[str, Path] | None, say: Say) -> dict[Part, Path]:
    """Where each part's program is: as given, else as the toolchain finds or builds it."""
    if given is not None:
        missing = [str(part) for part in Part if part not in given]
        if missing:
            raise UsageError(f"no program is given for {', '.join(missing)}", "give one for each part")
        return {part: given[part] for part in Part}
    from gpu_clusters import toolchain

    say("looking for the programs")
    located = toolchain.ensure([toolchain.Program(part) for part in Part])
    return {part: located[toolchain.Program(part)].path for part in Part}


def running(layout: Layout) -> dict[Part, tuple[int, ...]]:
    """The processes of each part; more than one only if something went wrong."""
    found = processes.find({part: layout.marker(part) for part in Part})
    return {part: found[part] for part in Part}


class Start:
    """One start of a sandbox whose folder is prepared: what ran before it, and what it has begun."""

    def __init__(self, layout: Layout, found: Mapping[Part, Path], state: State, say: Say) -> None:
        self._layout, self._programs, self._state, self._say = layout, found, state, say
        self._health = parts.Health(layout, state)
        self._before = {part: pids[0] for part, pids in running(layout).items() if pids}
        self._begun: dict[Part, int] = {}

    def run(self) -> None:
        """Start what isn't running and wait until all of it works; undo what was begun if that fails.

        Raises:
            OperationError: a part ends, or doesn't get ready.
        """
        try:
            # The API server waits for etcd by itself, so they load at the same time.
            self._launch(Part.ETCD, Part.KUBE_APISERVER)
            self._await(Part.ETCD)
            self._await(Part.KUBE_APISERVER)
            self._note_version()
            self._launch(*CLIENTS)
            for part in CLIENTS:
                self._await(part)
            self._await_service_account()
        except BaseException:
            # Ctrl-C too: a second one, during this, leaves processes that the next start or stop finds.
            processes.terminate(list(self._begun.values()), _STOP_SECONDS)
            raise

    def _launch(self, *wanted: Part) -> None:
        missing = [part for part in wanted if part not in self._before]
        if Part.KWOK in missing:
            self._save(replace(self._state, starts=self._state.starts + 1))
        if missing:
            self._say(f"starting {', '.join(missing)}")
        for part in missing:
            self._begun[part] = processes.spawn(
                parts.command(part, self._programs[part], self._layout, self._state),
                self._layout.log(part),
                self._layout.directory,
                parts.environment(part, self._state),
            )

    def _await(self, part: Part) -> None:
        before = self._before.get(part)
        if before is not None and not self._is_ready_within(part, before, _RECOVERY_SECONDS):
            self._say(f"{part} doesn't answer")
            processes.terminate([before], _HUNG_SECONDS)
            del self._before[part]
            self._launch(part)
        pid = self._before.get(part) or self._begun[part]
        if self._is_ready_within(part, pid, _READY_SECONDS):
            return
        problem = (
            f"doesn't get ready within {_READY_SECONDS:.0f} s" if processes.is_running(pid) else "ended at its start"
        )
        raise OperationError(
            f"{part} {problem}",
            f"the end of its log, {self._layout.log(part)}, should say why; if the data is damaged, delete it with "
            f"`gpu-clusters sandbox stop --delete-data --name {self._layout.name}`",
            tail(self._layout.log(part), _ERROR_LINES),
        )

    def _is_ready_within(self, part: Part, pid: int, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while not self._health.is_healthy(part):
            if time.monotonic() > end or not processes.is_running(pid):
                return False
            time.sleep(_POLL_SECONDS)
        # The answer may be that of a process which had the port before.
        return processes.is_running(pid)

    def _note_version(self) -> None:
        response = self._health.get("/version")
        if response is not None and response.status == 200:
            document = cast("dict[str, object]", json.loads(response.body))
            self._save(replace(self._state, version=str(document["gitVersion"])))

    def _await_service_account(self) -> None:
        """Without it, pods in the namespace `default` are refused."""
        end = time.monotonic() + _READY_SECONDS
        while time.monotonic() < end:
            response = self._health.get("/api/v1/namespaces/default/serviceaccounts/default")
            if response is not None and response.status == 200:
                return
            time.sleep(_POLL_SECONDS)
        raise OperationError(
            "the controller manager doesn't make the ServiceAccount `default`",
            "see `gpu-clusters sandbox logs kube-controller-manager`",
            tail(self._layout.log(Part.KUBE_CONTROLLER_MANAGER), _ERROR_LINES),
        )

    def _save(self, state: State) -> None:
        state.save(self._layout.state)
        self._state = state
