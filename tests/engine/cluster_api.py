"""A small client of an API server, for tests: objects are plain JSON, refusals are answers."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast
from urllib.parse import urlsplit

import yaml
from gpu_clusters import labels

Json = dict[str, object]
_T = TypeVar("_T")


class Api:
    """One user of one API server."""

    def __init__(self, kubeconfig: str) -> None:
        document = cast("dict[str, list[dict[str, dict[str, str]]]]", yaml.safe_load(kubeconfig))
        cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
        self._address = urlsplit(cluster["server"]).netloc
        self._context = ssl.create_default_context(
            cadata=base64.b64decode(cluster["certificate-authority-data"]).decode()
        )
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory, "client.pem")
            file.touch(mode=0o600)
            file.write_bytes(
                base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"])
            )
            self._context.load_cert_chain(file)

    def request(self, method: str, path: str, body: object = None, kind: str = "application/json") -> tuple[int, Json]:
        """Send a request; a status and the answer, whatever they are."""
        connection = http.client.HTTPSConnection(self._address, timeout=30, context=self._context)
        try:
            connection.request(method, path, json.dumps(body), {"Content-Type": kind, "Accept": "application/json"})
            response = connection.getresponse()
            return response.status, cast("Json", json.loads(response.read() or b"{}"))
        finally:
            connection.close()

    def get(self, path: str) -> Json:
        """Read an object that must be there."""
        status, answer = self.request("GET", path)
        assert status == 200, answer
        return answer

    def create(self, path: str, body: Json) -> Json:
        """Create an object, which must be accepted."""
        status, answer = self.request("POST", path, body)
        assert status in (200, 201, 202), answer
        return answer

    def patch(self, path: str, body: Json) -> Json:
        """Merge into an object that must be there."""
        status, answer = self.request("PATCH", path, body, "application/merge-patch+json")
        assert status == 200, answer
        return answer

    def delete(self, path: str, *, background: bool = True) -> None:
        """Delete an object that must be there."""
        options: Json = {"propagationPolicy": "Background"} if background else {}
        status, answer = self.request("DELETE", path, options)
        assert status in (200, 202), answer

    def exists(self, path: str) -> bool:
        """Whether an object is there."""
        return self.request("GET", path)[0] == 200

    def namespace(self, name: str, marks: dict[str, str] | None = None) -> str:
        """Create a namespace with labels and wait until pods can be created in it."""
        self.create("/api/v1/namespaces", {"metadata": {"name": name, "labels": marks or {}}})
        until(lambda: self.exists(f"/api/v1/namespaces/{name}/serviceaccounts/default"))
        return name

    def node(self, name: str, capacity: Json | None = None, marked: dict[str, str] | None = None) -> None:
        """Create a simulated node and wait until it is Ready."""
        marks = {labels.KWOK_NODE: labels.KWOK_NODE_VALUE}
        if capacity is not None:
            marks[labels.SANDBOX_CAPACITY] = json.dumps(capacity)
        self.create("/api/v1/nodes", {"metadata": {"name": name, "annotations": marks, "labels": marked or {}}})
        until(lambda: condition(self.get(f"/api/v1/nodes/{name}"), "Ready") == "True")


def until(check: Callable[[], _T], seconds: float = 20.0) -> _T:
    """Wait until something holds; what it gave."""
    end = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < end, "it doesn't come true"
        time.sleep(0.05)
    return found


def condition(item: Json, kind: str) -> str:
    """The status of one of an object's conditions; empty if it has none such."""
    found = cast("list[dict[str, str]]", at(item, "status").get("conditions") or [])
    return next((entry["status"] for entry in found if entry["type"] == kind), "")


def at(item: Json, *keys: str) -> Json:
    """An object inside an object; empty if it isn't there."""
    for key in keys:
        item = cast("Json", item.get(key) or {})
    return item
