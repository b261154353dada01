"""Lists the objects of a cluster, as plain JSON: the client's models cost milliseconds a pod."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final, Protocol, cast

from gpu_clusters.errors import OperationError

Json = Mapping[str, object]

_OK: Final = 200
_TIMEOUT_SECONDS: Final = 30


class _Response(Protocol):
    status: int
    data: bytes


class _Config(Protocol):
    def new_client_from_config_dict(self, config_dict: object) -> object: ...


class _Call(Protocol):
    def __call__(self, *, label_selector: str | None, _preload_content: bool, _request_timeout: int) -> _Response: ...


class _Api(Protocol):
    """What is used of the Kubernetes client, which has no types of its own for raw answers."""

    list_node: _Call
    list_pod_for_all_namespaces: _Call
    list_namespace: _Call
    list_resource_quota_for_all_namespaces: _Call
    list_deployment_for_all_namespaces: _Call


class Cluster:
    """One cluster, by the content of a kubeconfig.

    Raises:
        OperationError: the kubeconfig can't be used; of every method: the API server can't be reached, or refuses.
    """

    def __init__(self, kubeconfig: str) -> None:
        import yaml
        from kubernetes import client, config

        try:
            api = cast("_Config", config).new_client_from_config_dict(yaml.safe_load(kubeconfig))
        except (config.ConfigException, yaml.YAMLError, TypeError, AttributeError) as error:
            raise OperationError(f"the kubeconfig can't be used: {error}", "make it anew") from error
        self._core = cast("_Api", client.CoreV1Api(api))
        self._apps = cast("_Api", client.AppsV1Api(api))

    def nodes(self) -> list[Json]:
        """Every node."""
        return self._list("nodes", self._core.list_node)

    def pods(self) -> list[Json]:
        """Every pod."""
        return self._list("pods", self._core.list_pod_for_all_namespaces)

    def namespaces(self, label: str) -> list[Json]:
        """The namespaces that have a label."""
        return self._list("namespaces", self._core.list_namespace, label)

    def quotas(self) -> list[Json]:
        """Every ResourceQuota."""
        return self._list("resourcequotas", self._core.list_resource_quota_for_all_namespaces)

    def deployments(self, label: str) -> list[Json]:
        """The Deployments that have a label."""
        return self._list("deployments", self._apps.list_deployment_for_all_namespaces, label)

    def _list(self, what: str, call: _Call, label: str | None = None) -> list[Json]:
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        try:
            response = call(label_selector=label, _preload_content=False, _request_timeout=_TIMEOUT_SECONDS)
            status, data = response.status, response.data
        except HTTPError as error:
            raise OperationError(
                f"the API server can't be reached: {error}", "see that the cluster runs, then try again"
            ) from error
        except ApiException as error:
            status, data = cast("_Response", error).status, b""
        if status != _OK:
            raise OperationError(f"the API server doesn't list {what}: status {status}", "use a kubeconfig that may")
        return objects(cast("Json", json.loads(data)), "items")


def objects(item: Json, key: str) -> list[Json]:
    """The objects in a list of an object; none if it isn't there."""
    return cast("list[Json]", item.get(key) or [])
