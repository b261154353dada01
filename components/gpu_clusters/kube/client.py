"""Requests to one API server: kept-alive connections, and patience with a server that is away or busy."""

from __future__ import annotations

import json
import ssl
import tempfile
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, cast
from urllib.parse import urlencode

import urllib3

from gpu_clusters.errors import OperationError
from gpu_clusters.kube.kubeconfig import Cluster
from gpu_clusters.kube.objects import mappings, text

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

    def __init__(self, code: int, status: Mapping[str, object]) -> None:
        self.code = code
        self.reason = text(status, "reason")
        self.causes = mappings(status, "details", "causes")
        self.api_message = text(status, "message") or f"HTTP status {code}"
        super().__init__(self.api_message, _remedy(code, self.reason))


class Client:
    """One API server. Safe to use from many threads."""

    def __init__(self, cluster: Cluster) -> None:
        self.server = cluster.server
        self._cancelled = threading.Event()
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

    def get(self, path: str, *, patience: float = AWAY_SECONDS) -> Mapping[str, object] | None:
        """Read an object; None if there is none."""
        try:
            return self.request("GET", path, patience=patience)
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    def items(
        self, path: str, query: Mapping[str, str], *, patience: float = AWAY_SECONDS
    ) -> Sequence[Mapping[str, object]]:
        """List objects."""
        return mappings(self.request("GET", path, query, patience=patience), "items")

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
        *,
        content_type: str = "application/json",
        patience: float = AWAY_SECONDS,
    ) -> Mapping[str, object]:
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

    def _once(self, method: str, url: str, data: bytes | None, content_type: str) -> Mapping[str, object]:
        response = self._pool.request(
            method, url, body=data, headers=self._headers(content_type), retries=False, preload_content=True
        )
        answer = _parsed(response.data)
        if response.status >= 400:
            raise ApiError(response.status, answer)
        return answer

    def _headers(self, content_type: str) -> dict[str, str]:
        return {**cast("Mapping[str, str]", self._pool.headers), "Content-Type": content_type}

    def _unreachable(self, error: Exception) -> UnreachableError:
        return UnreachableError(
            f"the API server {self.server} doesn't answer: {_innermost(error)}",
            "see `gpu-clusters sandbox status`; `gpu-clusters sandbox start` brings up what is down",
        )


def _tls(cluster: Cluster) -> ssl.SSLContext:
    try:
        return _tls_context(cluster)
    except (OSError, ValueError) as error:
        raise OperationError(
            f"the certificates in the kubeconfig of {cluster.server} can't be used: {error}",
            "run `gpu-clusters sandbox start` and take its kubeconfig anew",
        ) from error


def _tls_context(cluster: Cluster) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=cluster.authority.decode() or None)
    if not cluster.certificate:
        return context
    # The ssl module takes a client's key from a path alone. These files never have a name, or lose it at once, so that
    # a process that is killed leaves no key behind.
    with _nameless(cluster.certificate) as certificate, _nameless(cluster.key) as key:
        context.load_cert_chain(certificate, key)
    return context


@contextmanager
def _nameless(content: bytes) -> Generator[str]:
    """The path of a private file with some content, as long as the block runs."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        file.seek(0)
        yield f"/dev/fd/{file.fileno()}"


def _parsed(data: bytes) -> Mapping[str, object]:
    try:
        answer = cast("object", json.loads(data))
    except ValueError:
        # A server that is going down or coming up answers in plain text.
        return {"message": data.decode(errors="replace").strip()[:500]}
    return cast("dict[str, object]", answer) if isinstance(answer, dict) else {}


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
