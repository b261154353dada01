"""Requests to the sandbox's own processes: loopback, no proxies, nothing but the standard library."""

from __future__ import annotations

import http.client
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gpu_clusters.controlplane.ports import LOOPBACK

_TIMEOUT_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Response:
    """What a process answered."""

    status: int
    body: str


def tls(authority: Path, certificate: Path | None = None) -> ssl.SSLContext:
    """A context that trusts one authority, and shows the client certificate `certificate` (.crt, its .key beside)."""
    context = ssl.create_default_context(cafile=str(authority))
    if certificate is not None:
        context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    return context


def get(port: int, path: str, context: ssl.SSLContext | None) -> Response | None:
    """GET a path on loopback; None if nobody answers, or not within 2 s. Without a context: plain HTTP."""
    connection = (
        http.client.HTTPConnection(LOOPBACK, port, timeout=_TIMEOUT_SECONDS)
        if context is None
        else http.client.HTTPSConnection(LOOPBACK, port, timeout=_TIMEOUT_SECONDS, context=context)
    )
    try:
        connection.request("GET", path, headers={"Accept": "application/json"})
        response = connection.getresponse()
        return Response(response.status, response.read().decode(errors="replace"))
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
