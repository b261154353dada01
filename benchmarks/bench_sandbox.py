"""How fast the sandbox is: a cold start, a thousand nodes, two thousand pods."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final
from unittest import mock

from _result import Result
from gpu_clusters import labels
from gpu_clusters._paths import STATE_VARIABLE
from gpu_clusters.controlplane import Sandbox
from gpu_clusters.kube.client import Client
from gpu_clusters.kube.kubeconfig import parse
from gpu_clusters.kube.objects import condition, number

NODES: Final = 1000
PODS: Final = 2000
_TIMEOUT_SECONDS: Final = 300.0
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
    cluster.wait(lambda: cluster.ready_nodes() == 1)
    cold = time.monotonic() - begin

    begin = time.monotonic()
    cluster.create_nodes([f"node-{number}" for number in range(NODES)])
    # A list of all nodes costs the API server as much as making a few of them.
    cluster.wait(lambda: cluster.ready_nodes() == NODES + 1, poll_seconds=0.5)
    nodes = time.monotonic() - begin

    begin = time.monotonic()
    cluster.create_deployment(PODS)
    cluster.wait(lambda: cluster.ready_replicas() == PODS)
    pods = time.monotonic() - begin
    return [
        Result("sandbox: cold start to a Ready node", cold, "s", 4.0, "lower"),
        Result(f"sandbox: {NODES} nodes of 8 GPUs created and Ready", nodes, "s", 6.0, "lower"),
        Result(f"sandbox: {PODS} pods of 1 GPU Running", PODS / pods, "pods/s", 100.0, "higher"),
    ]


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

    def ready_nodes(self) -> int:
        # From the watch cache, and no more than is needed: the question must not be what is measured.
        nodes = self._client.items(_NODES, {"resourceVersion": "0"})
        return sum(condition(node, "Ready").get("status") == "True" for node in nodes)

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

    def wait(self, done: Callable[[], bool], poll_seconds: float = 0.1) -> None:
        end = time.monotonic() + _TIMEOUT_SECONDS
        while not done():
            if time.monotonic() > end:
                raise TimeoutError(f"not done after {_TIMEOUT_SECONDS:.0f} s")
            time.sleep(poll_seconds)


if __name__ == "__main__":
    for result in results():
        sys.stdout.write(f"{result.name}: {result.value:.1f} {result.unit} (aim {result.aim})\n")
