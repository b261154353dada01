"""How fast the sandbox is: a cold start, a thousand nodes, two thousand pods."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol, cast
from unittest import mock

from _result import Result
from gpu_clusters import labels
from gpu_clusters._paths import STATE_VARIABLE
from gpu_clusters.controlplane import Sandbox

NODES: Final = 1000
PODS: Final = 2000
_TIMEOUT_SECONDS: Final = 300.0


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


class _Response(Protocol):
    data: bytes


class _Call(Protocol):
    def __call__(self, *arguments: object, **options: object) -> _Response: ...


class _Core(Protocol):
    create_node: _Call
    list_node: _Call


class _Apps(Protocol):
    create_namespaced_deployment: _Call
    read_namespaced_deployment: _Call


class _Cluster:
    def __init__(self, kubeconfig: str) -> None:
        import yaml
        from kubernetes import client, config

        load = cast("Callable[[object], object]", vars(config)["new_client_from_config_dict"])
        api = load(yaml.safe_load(kubeconfig))
        self._core = cast("_Core", client.CoreV1Api(api))
        self._apps = cast("_Apps", client.AppsV1Api(api))

    def create_nodes(self, names: Iterable[str]) -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(self._create_node, names))

    def _create_node(self, name: str) -> None:
        capacity = json.dumps({"nvidia.com/gpu": "8", "cpu": "96", "memory": "1Ti"})
        annotations = {labels.KWOK_NODE: labels.KWOK_NODE_VALUE, labels.SANDBOX_CAPACITY: capacity}
        self._core.create_node({"metadata": {"name": name, "annotations": annotations}}, _preload_content=False)

    def ready_nodes(self) -> int:
        # From the watch cache, and no more than is needed: the question must not be what is measured.
        response = self._core.list_node(resource_version="0", _preload_content=False)
        nodes = cast("dict[str, list[dict[str, dict[str, list[dict[str, str]]]]]]", json.loads(response.data))["items"]
        ready = {"type": "Ready", "status": "True"}
        return sum(
            any(ready.items() <= condition.items() for condition in node["status"].get("conditions", []))
            for node in nodes
        )

    def create_deployment(self, replicas: int) -> None:
        container = {"name": "main", "image": "example.com/llm:1", "resources": {"limits": {"nvidia.com/gpu": "1"}}}
        selected = {"app": "benchmark"}
        template = {"metadata": {"labels": selected}, "spec": {"containers": [container]}}
        spec = {"replicas": replicas, "selector": {"matchLabels": selected}, "template": template}
        body = {"metadata": {"name": "benchmark"}, "spec": spec}
        self._apps.create_namespaced_deployment("default", body, _preload_content=False)

    def ready_replicas(self) -> int:
        response = self._apps.read_namespaced_deployment("benchmark", "default", _preload_content=False)
        status = cast("dict[str, dict[str, int]]", json.loads(response.data))["status"]
        return status.get("readyReplicas", 0)

    def wait(self, done: Callable[[], bool], poll_seconds: float = 0.1) -> None:
        end = time.monotonic() + _TIMEOUT_SECONDS
        while not done():
            if time.monotonic() > end:
                raise TimeoutError(f"not done after {_TIMEOUT_SECONDS:.0f} s")
            time.sleep(poll_seconds)


if __name__ == "__main__":
    for result in results():
        sys.stdout.write(f"{result.name}: {result.value:.1f} {result.unit} (aim {result.aim})\n")
