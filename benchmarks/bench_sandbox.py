"""How fast the sandbox is: a cold start, a thousand nodes, two thousand pods. A minute and a half on two busy cores."""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from unittest import mock

from _result import Result, machine
from gpu_clusters import labels
from gpu_clusters._paths import STATE_VARIABLE
from gpu_clusters.controlplane import Sandbox
from gpu_clusters.kube.client import Client
from gpu_clusters.kube.kubeconfig import parse
from gpu_clusters.kube.objects import condition, number

NODES: Final = 1000
PODS: Final = 2000
_TIMEOUT_SECONDS: Final = 90.0
_SHORT_PAUSE: Final = 0.03
_NODES: Final = "/api/v1/nodes"
_DEPLOYMENTS: Final = "/apis/apps/v1/namespaces/default/deployments"


def results() -> Sequence[Result]:
    """Measure in a sandbox of its own, which is deleted afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="gpu-clusters-") as directory,
        mock.patch.dict("os.environ", {STATE_VARIABLE: directory}),
    ):
        sandbox = Sandbox("benchmark")
        try:
            return _measure(sandbox)
        finally:
            sandbox.stop(delete_data=True)


def _measure(sandbox: Sandbox) -> list[Result]:
    begin = time.monotonic()
    sandbox.start()
    cluster = _Cluster(sandbox.kubeconfig())
    cluster.create_nodes(["first"])
    cluster.wait(lambda: cluster.is_ready("first"), _SHORT_PAUSE)
    start = _Cost(time.monotonic() - begin, _processor_seconds(sandbox))

    begin = time.monotonic()
    names = [f"node-{number}" for number in range(NODES)]
    cluster.create_nodes(names)
    # Listing all nodes costs the API server as much as making a few of them: at first the last one is asked for alone.
    cluster.wait(lambda: cluster.is_ready(names[-1]), _SHORT_PAUSE)
    cluster.wait(lambda: cluster.ready_nodes() == NODES + 1)
    nodes = _Cost(time.monotonic() - begin, _processor_seconds(sandbox) - start.processor)

    begin = time.monotonic()
    cluster.create_deployment(PODS)
    cluster.wait(lambda: cluster.ready_replicas() == PODS)
    pods = _Cost(time.monotonic() - begin, _processor_seconds(sandbox) - start.processor - nodes.processor)
    return [
        Result("sandbox: cold start to a Ready node", start.seconds, "s", 4.0, "lower"),
        Result("sandbox: the same, processor time", start.processor, "s", None, "lower"),
        Result(f"sandbox: {NODES} nodes of 8 GPUs created and Ready", nodes.seconds, "s", 6.0, "lower"),
        Result("sandbox: the same, processor time", nodes.processor, "s", None, "lower"),
        Result(f"sandbox: {PODS} pods of 1 GPU Running and Ready", PODS / pods.seconds, "pods/s", 100.0, "higher"),
        Result("sandbox: the same, processor time", pods.processor, "s", None, "lower"),
    ]


@dataclass(frozen=True, slots=True)
class _Cost:
    """Seconds by the clock, and of all processors in the sandbox's processes: the latter hold on a busy machine too."""

    seconds: float
    processor: float


def _processor_seconds(sandbox: Sandbox) -> float:
    """What the sandbox's processes have used of all processors so far; not a number where there is no /proc."""
    ticks = 0
    for part in sandbox.status().parts:
        try:
            # man 5 proc: utime and stime, counted from the state, which follows the name in parentheses.
            fields = Path(f"/proc/{part.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return math.nan
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


class _Cluster:
    def __init__(self, kubeconfig: str) -> None:
        self._client = Client(parse(kubeconfig))

    def create_nodes(self, names: Iterable[str]) -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(self._create_node, names))

    def _create_node(self, name: str) -> None:
        capacity = json.dumps({"nvidia.com/gpu": "8", "cpu": "96", "memory": "1Ti"})
        annotations = {labels.KWOK_NODE: labels.KWOK_NODE_VALUE, labels.SANDBOX_CAPACITY: capacity}
        self._client.request("POST", _NODES, body={"metadata": {"name": name, "annotations": annotations}})

    def is_ready(self, node: str) -> bool:
        return condition(self._client.get(f"{_NODES}/{node}"), "Ready").get("status") == "True"

    def ready_nodes(self) -> int:
        return sum(condition(node, "Ready").get("status") == "True" for node in self._client.items(_NODES, {}))

    def create_deployment(self, replicas: int) -> None:
        container = {"name": "main", "image": "example.com/llm:1", "resources": {"limits": {"nvidia.com/gpu": "1"}}}
        selected = {"app": "benchmark"}
        template = {"metadata": {"labels": selected}, "spec": {"containers": [container]}}
        spec = {"replicas": replicas, "selector": {"matchLabels": selected}, "template": template}
        body = {"metadata": {"name": "benchmark"}, "spec": spec}
        self._client.request("POST", _DEPLOYMENTS, body=body)

    def ready_replicas(self) -> int:
        deployment = self._client.get(f"{_DEPLOYMENTS}/benchmark")
        return number(deployment, "status", "readyReplicas") or 0

    def wait(self, done: Callable[[], bool], poll_seconds: float = 0.25) -> None:
        end = time.monotonic() + _TIMEOUT_SECONDS
        while not done():
            if time.monotonic() > end:
                raise TimeoutError(f"not done after {_TIMEOUT_SECONDS:.0f} s")
            time.sleep(poll_seconds)


if __name__ == "__main__":
    sys.stdout.write(f"{machine()}\n")
    for result in results():
        aim = "" if result.aim is None else f" (aim {result.aim:g})"
        sys.stdout.write(f"{result.name}: {result.value:.1f} {result.unit}{aim}\n")
