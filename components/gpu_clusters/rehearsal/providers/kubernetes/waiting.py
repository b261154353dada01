"""Waiting until an object is ready or gone.

By asking again, not by watching: it needs no care when the API server restarts, and costs little since the pauses grow
with the number of those who wait.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from threading import Lock
from typing import Final

from gpu_clusters.errors import OperationError
from gpu_clusters.kube.objects import text
from gpu_clusters.rehearsal.providers.kubernetes.client import Client
from gpu_clusters.rehearsal.providers.kubernetes.objects import SKIP_AWAIT, TIMEOUT_SECONDS, Kind, annotation, id_of
from gpu_clusters.rehearsal.providers.kubernetes.readiness import pending
from gpu_clusters.rehearsal.providers.kubernetes.reasons import pods_of, reasons, why_not_gone
from gpu_clusters.rehearsal.providers.values import Properties

#: pulumi-kubernetes's own limit, in seconds.
DEFAULT_SECONDS: Final = 600
_FIRST_PAUSE: Final = 0.03
_LONGEST_PAUSE: Final = 0.5
_POLLS_PER_SECOND: Final = 200


class _Crowd:
    """How many wait at this moment, in all threads."""

    def __init__(self) -> None:
        self._size = 0
        self._lock = Lock()

    @contextmanager
    def joined(self) -> Generator[None]:
        with self._lock:
            self._size += 1
        try:
            yield
        finally:
            with self._lock:
                self._size -= 1

    def longest_pause(self) -> float:
        return max(_LONGEST_PAUSE, self._size / _POLLS_PER_SECOND)


_crowd = _Crowd()


class NotReadyError(OperationError):
    """An object was there but not ready.

    Attributes:
        live: the object as it was seen last.
    """

    def __init__(self, live: Properties, problem: str, remedy: str, details: tuple[str, ...]) -> None:
        super().__init__(problem, remedy, details)
        self.live = live


def time_limit(inputs: Properties, seconds: float) -> float:
    """The seconds that a wait may take: from `customTimeouts`, else from the annotation, else 600."""
    if seconds > 0:
        return seconds
    told = annotation(inputs, TIMEOUT_SECONDS)
    return float(told) if told.isdigit() else DEFAULT_SECONDS


def until_ready(client: Client, kind: Kind, path: str, live: Properties, seconds: float) -> Properties:
    """Wait until the object at a path is ready, and return it as it is then.

    Raises:
        NotReadyError: it isn't within the time limit, or says that it never will be.
        CancelledError: the deployment was cancelled.
    """
    if annotation(live, SKIP_AWAIT) == "true":
        return live
    deadline = time.monotonic() + seconds
    pause = _FIRST_PAUSE
    what = f"{kind.name} {id_of(live)}"
    with _crowd.joined():
        while (missing := pending(client, kind, live)) is not None:
            if missing.final:
                raise _not_ready(client, live, f"{what} failed: {missing.reason}")
            if why := _hopeless(client, live):
                raise _not_ready(client, live, f"{what} will not be ready as things are: {why}")
            if time.monotonic() > deadline:
                raise _not_ready(client, live, f"{what} wasn't ready after {seconds:g} s: {missing.reason}")
            client.sleep(pause)
            pause = min(pause * 1.5, _crowd.longest_pause())
            found = client.get(path)
            if found is None:
                raise OperationError(f"{what} was deleted by somebody else while it was waited for", "run it again")
            live = found
    return live


def until_gone(client: Client, path: str, uid: str, seconds: float) -> None:
    """Wait until there is no object at a path, or another one.

    Raises:
        OperationError: it is still there after the time limit; says what keeps it.
        CancelledError: the deployment was cancelled.
    """
    deadline = time.monotonic() + seconds
    pause = _FIRST_PAUSE
    with _crowd.joined():
        while (live := client.get(path)) is not None and text(live, "metadata", "uid") == uid:
            if time.monotonic() > deadline:
                raise OperationError(
                    f"{text(live, 'kind')} {id_of(live)} is still being deleted after {seconds:g} s",
                    "delete what it waits for, or remove the finalizer if whatever handles it is gone",
                    why_not_gone(live),
                )
            client.sleep(pause)
            pause = min(pause * 1.5, _crowd.longest_pause())


def _hopeless(client: Client, live: Properties) -> str:
    """Why an object or one of its pods waits in vain; empty if it may not."""
    known = client.hopeless()
    if not known:
        return ""
    concerned = [live] if live.get("kind") == "Pod" else [live, *pods_of(client, live)]
    return next((known[uid] for item in concerned if (uid := text(item, "metadata", "uid")) in known), "")


def _not_ready(client: Client, live: Properties, problem: str) -> NotReadyError:
    remedy = "correct what is named here and run it again, or raise the resource's customTimeouts"
    return NotReadyError(live, problem, remedy, reasons(client, live))
