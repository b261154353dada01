"""Kubeconfigs that hold all they need: server, authority, client certificate and key."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Final

from gpu_clusters import labels

#: The extension of a kubeconfig's cluster by which a sandbox is known; its value has `name` and `identity`.
EXTENSION: Final = labels.SANDBOX_DOMAIN


def cluster_name(sandbox: str) -> str:
    """The name of the cluster and the context in a sandbox's kubeconfig."""
    return f"gpu-clusters-sandbox-{sandbox}"


def render(
    *, sandbox: str, identity: str, port: int, authority: Path, user: str, certificate: bytes, key: bytes
) -> str:
    """Render a kubeconfig for one user of one sandbox.

    Args:
        sandbox: the sandbox's name.
        identity: the sandbox's identity, for the cluster's extension `EXTENSION`.
        port: the API server's, on loopback.
        authority: the file of the authority that signed the API server's certificate.
        user: the name of the user's entry.
        certificate: the user's client certificate, PEM.
        key: its private key, PEM.
    """
    import yaml

    name = cluster_name(sandbox)
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": name,
                "cluster": {
                    "server": f"https://127.0.0.1:{port}",
                    "certificate-authority-data": _base64(authority.read_bytes()),
                    "extensions": [{"name": EXTENSION, "extension": {"name": sandbox, "identity": identity}}],
                },
            }
        ],
        "users": [
            {
                "name": user,
                "user": {"client-certificate-data": _base64(certificate), "client-key-data": _base64(key)},
            }
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user, "namespace": "default"}}],
        "current-context": name,
    }
    return yaml.safe_dump(document, sort_keys=False)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
