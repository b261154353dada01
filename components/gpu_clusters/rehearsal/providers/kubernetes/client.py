"""A small client of the Kubernetes API: what server-side apply, waiting and deleting need, quick and patient.

The `kubernetes` package's clients are not used: their discovery reads every group before the first call, and neither
of them tells a server that is away for a moment from one that refuses.
"""

from __future__ import annotations

import json
import ssl
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast
from urllib.parse import quote, urlencode

import urllib3

from gpu_clusters.errors import OperationError
from gpu_clusters.rehearsal.providers.kubernetes.kubeconfig import Cluster
from gpu_clusters.rehearsal.providers.kubernetes.objects import Kind, mappings, text
from gpu_clusters.rehearsal.providers.values import Properties, Value

#: How long the API server may be away before an operation gives up, in seconds: a restart takes a few.
AWAY_SECONDS: Final = 60
_CONNECTIONS: Final = 64
_REQUEST_SECONDS: Final = urllib3.Timeout(connect=5, read=60)
_RETRIED: Final = frozenset({429, 502, 503, 504})


class CancelledError(OperationError):
    """The deployment was cancelled while an operation waited."""

    def __init__(self) -> None:
        super().__init__("cancelled", "run the same command again to go on from here")


class UnreachableError(OperationError):
    """The API server didn't answer."""


class ApiError(OperationError):
    """The API server refused; the message is its own.

    Attributes:
        code: the HTTP status.
        reason: Kubernetes's reason, such as `NotFound`, `Conflict`, `Forbidden`.
        causes: the `details.causes` of the answer.
    """

    def __init__(self, code: int, status: Properties) -> None:
        self.code = code
        self.reason = text(status, "reason")
        self.causes = mappings(status, "details", "causes")
        self.api_message = text(status, "message") or f"HTTP status {code}"
        super().__init__(self.api_message, _remedy(code, self.reason))


class UnknownKindError(OperationError):
    """The API server serves no such kind."""


@dataclass(frozen=True)
class Endpoint:
    """Where objects of a kind live on the server."""

    prefix: str
    plural: str
    namespaced: bool

    def path(self, namespace: str, name: str = "") -> str:
        """The URL's path of an object, or of all in a namespace."""
        scope = f"/namespaces/{quote(namespace, safe='')}" if self.namespaced and namespace else ""
        return f"{self.prefix}{scope}/{self.plural}" + (f"/{quote(name, safe='')}" if name else "")


class Client:
    """One API server. Safe to use from many threads."""

    def __init__(self, cluster: Cluster) -> None:
        self.server = cluster.server
        self._cancelled = threading.Event()
        self._endpoints: dict[Kind, Endpoint] = {}
        headers = {"Accept": "application/json", "User-Agent": "gpu-clusters"}
        if cluster.token:
            headers["Authorization"] = f"Bearer {cluster.token}"
        self._pool = urllib3.PoolManager(
            num_pools=2, maxsize=_CONNECTIONS, ssl_context=_tls(cluster), headers=headers, timeout=_REQUEST_SECONDS
        )

    def cancel(self) -> None:
        """End all waiting."""
        self._cancelled.set()

    def sleep(self, seconds: float) -> None:
        """Wait. Raises CancelledError as soon as the deployment is cancelled."""
        if self._cancelled.wait(max(seconds, 0)):
            raise CancelledError

    def endpoint(self, kind: Kind, *, patience: float = AWAY_SECONDS) -> Endpoint:
        """Where a kind lives; asked of the server once, and again while it isn't known.

        Raises:
            UnknownKindError: the server doesn't serve it.
        """
        key = Kind(kind.group, kind.version, kind.name)
        if key not in self._endpoints:
            self._discover(kind.group, kind.version, patience)
        if key not in self._endpoints:
            raise UnknownKindError(
                f"the API server serves no {kind}",
                "create its CustomResourceDefinition first (`depends_on`), or correct the apiVersion",
            )
        return self._endpoints[key]

    def get(self, path: str, *, patience: float = AWAY_SECONDS) -> Properties | None:
        """Read an object; None if there is none."""
        try:
            return self.request("GET", path, patience=patience)
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    def items(self, path: str, query: Mapping[str, str]) -> list[Properties]:
        """List objects."""
        return mappings(self.request("GET", path, query), "items")

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Properties | None = None,
        *,
        content_type: str = "application/json",
        patience: float = AWAY_SECONDS,
    ) -> Properties:
        """Ask the server, again while it is away or busy. Every request that is made here may be made twice.

        Args:
            patience: seconds that the server may be away or busy.

        Raises:
            ApiError: the server refused.
            UnreachableError: it didn't answer in time.
            CancelledError: the deployment was cancelled.
        """
        url = f"{self.server}{path}" + (f"?{urlencode(query)}" if query else "")
        data = json.dumps(body).encode() if body is not None else None
        deadline = time.monotonic() + patience
        pause = 0.1
        while True:
            try:
                return self._once(method, url, data, content_type)
            except (urllib3.exceptions.HTTPError, ConnectionError) as error:
                problem: OperationError = self._unreachable(error)
                if _is_certificate_error(error):
                    raise problem from error
            except ApiError as error:
                if not _may_pass(error):
                    raise
                problem = error
            if time.monotonic() + pause > deadline:
                raise problem
            self.sleep(pause)
            pause = min(pause * 2, 1)

    def _once(self, method: str, url: str, data: bytes | None, content_type: str) -> Properties:
        response = self._pool.request(
            method, url, body=data, headers=self._headers(content_type), retries=False, preload_content=True
        )
        answer = _parsed(response.data)
        if response.status >= 400:
            raise ApiError(response.status, answer)
        return answer

    def _headers(self, content_type: str) -> dict[str, str]:
        return {**cast(Mapping[str, str], self._pool.headers), "Content-Type": content_type}

    def _unreachable(self, error: Exception) -> UnreachableError:
        return UnreachableError(
            f"the API server {self.server} doesn't answer: {_innermost(error)}",
            "see `gpu-clusters sandbox status`; `gpu-clusters sandbox start` brings up what is down",
        )

    def _discover(self, group: str, version: str, patience: float) -> None:
        prefix = f"/apis/{group}/{version}" if group else f"/api/{version}"
        for resource in mappings(self.get(prefix, patience=patience) or {}, "resources"):
            plural, name = text(resource, "name"), text(resource, "kind")
            if "/" not in plural:
                endpoint = Endpoint(prefix, plural, resource.get("namespaced") is True)
                self._endpoints[Kind(group, version, name)] = endpoint


def _tls(cluster: Cluster) -> ssl.SSLContext:
    try:
        return _tls_context(cluster)
    except (ssl.SSLError, ValueError) as error:
        raise OperationError(
            f"the certificates in the kubeconfig of {cluster.server} can't be used: {error}",
            "run `gpu-clusters sandbox start` and take its kubeconfig anew",
        ) from error


def _tls_context(cluster: Cluster) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=cluster.authority.decode() or None)
    if not cluster.certificate:
        return context
    # The ssl module reads a client's key from a file only.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "client.pem"
        path.touch(0o600)
        path.write_bytes(cluster.certificate + b"\n" + cluster.key)
        context.load_cert_chain(path)
    return context


def _parsed(data: bytes) -> Properties:
    try:
        answer = cast(Value, json.loads(data))
    except ValueError:
        # A server that is going down or coming up answers in plain text.
        return {"message": data.decode(errors="replace").strip()[:500]}
    return answer if isinstance(answer, dict) else {}


def _may_pass(error: ApiError) -> bool:
    if error.code in _RETRIED or (error.code == 500 and "etcd" in error.api_message):
        return True
    # Admission and authorization say so for the first moments after a start.
    return error.code in {403, 500} and "not yet ready" in error.api_message


def _is_certificate_error(error: Exception) -> bool:
    return "CERTIFICATE_VERIFY_FAILED" in str(error)


def _innermost(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    message = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return message.rpartition(": ")[2] if isinstance(error, urllib3.exceptions.HTTPError) else message


_REMEDIES: Final[Mapping[str, str]] = {
    "AlreadyExists": "give it another name, import it, or set `upsert_existing_objects` on the Provider",
    "Conflict": 'take the field out of the program, or annotate the object with pulumi.com/patchForce: "true"',
    "Forbidden": "change what the policy, quota or role named there refuses",
    "Invalid": "correct the fields named there",
    "NotFound": "create what is missing first (`depends_on`), or run `pulumi refresh`",
}


def _remedy(code: int, reason: str) -> str:
    return _REMEDIES.get(reason, "correct the object" if code < 500 else "see `gpu-clusters sandbox logs`")
