"""What a kubeconfig says: one cluster, and how to speak to it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import yaml

from gpu_clusters.errors import OperationError
from gpu_clusters.kube.objects import mapping, mappings, text

# What the sandbox writes into its kubeconfig's cluster entry; the value has `name` and `identity`.
_EXTENSION: Final = "sandbox.gpu-clusters.dev"
_REMEDY: Final = "give the kubeconfig of a sandbox (`gpu-clusters sandbox kubeconfig`)"


@dataclass(frozen=True)
class Cluster:
    """One cluster and how to speak to it.

    Attributes:
        server: the API server's URL.
        authority: the PEM certificate that the server's own must be signed by.
        certificate: the PEM client certificate; empty with `token`.
        key: its private key.
        token: a bearer token, empty with a certificate.
        namespace: the context's namespace.
        sandbox: the sandbox's name, if the kubeconfig says that it is one.
        content: a kubeconfig with this cluster, user and context alone.
    """

    server: str
    authority: bytes
    certificate: bytes
    key: bytes
    token: str
    namespace: str
    sandbox: str
    content: str


def parse(
    kubeconfig: str | Mapping[str, object], *, context: str = "", cluster: str = "", will_be_contacted: bool = True
) -> Cluster:
    """The cluster that a kubeconfig means.

    Only what is given counts: the ambient kubeconfig is never read.

    Args:
        kubeconfig: its content, its path, or the document.
        context: the context's name; default: the current one.
        cluster: the name of another cluster than the context's.
        will_be_contacted: if not, neither how the server's identity is checked matters, nor files with credentials.

    Raises:
        OperationError: it can't be used.
    """
    document = _document(kubeconfig)
    context_name = context or text(document, "current-context")
    context_entry = mapping(_named(document, "contexts", context_name), "context")
    cluster_name = cluster or text(context_entry, "cluster")
    entry = _named(document, "clusters", cluster_name)
    user_entry = _named(document, "users", text(context_entry, "user"))
    settings, user = mapping(entry, "cluster"), mapping(user_entry, "user")
    single: dict[str, object] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [entry],
        "users": [user_entry],
        "contexts": [{"name": context_name, "context": {**context_entry, "cluster": cluster_name}}],
        "current-context": context_name,
    }
    return Cluster(
        server=_server(settings, cluster_name) if will_be_contacted else text(settings, "server").rstrip("/"),
        authority=_data(settings, "certificate-authority", may_read=will_be_contacted),
        certificate=_data(user, "client-certificate", may_read=will_be_contacted),
        key=_data(user, "client-key", may_read=will_be_contacted),
        token=text(user, "token"),
        namespace=text(context_entry, "namespace") or "default",
        sandbox=_sandbox_name(settings),
        content=yaml.safe_dump(single, sort_keys=False),
    )


def _server(settings: Mapping[str, object], name: str) -> str:
    server = text(settings, "server").rstrip("/")
    if not server.startswith("https://"):
        raise OperationError(f"the kubeconfig's cluster {name!r} has no https server", _REMEDY)
    if any(settings.get(key) for key in ("insecure-skip-tls-verify", "proxy-url", "tls-server-name")):
        raise OperationError(f"the kubeconfig's cluster {name!r} bypasses the check of its identity", _REMEDY)
    return server


def _document(kubeconfig: str | Mapping[str, object]) -> Mapping[str, object]:
    document: object = kubeconfig
    if isinstance(kubeconfig, str) and kubeconfig.strip():
        source = kubeconfig if "\n" in kubeconfig or kubeconfig.lstrip().startswith("{") else _read(kubeconfig)
        try:
            document = cast("object", yaml.safe_load(source))
        except yaml.YAMLError as error:
            raise OperationError("the kubeconfig isn't valid YAML", _REMEDY, str(error).splitlines()) from error
    if not isinstance(document, dict) or not document:
        raise OperationError("no kubeconfig was given, and the ambient one is never used", _REMEDY)
    return cast("dict[str, object]", document)


def _read(path: str) -> str:
    try:
        return Path(path).expanduser().read_text("utf-8")
    except (OSError, ValueError, RuntimeError) as error:
        raise OperationError(f"the kubeconfig {path} can't be read: {error}", _REMEDY) from error


def _named(document: Mapping[str, object], section: str, name: str) -> Mapping[str, object]:
    for entry in mappings(document, section):
        if entry.get("name") == name:
            return entry
    raise OperationError(f"the kubeconfig has no entry {name!r} under {section}", _REMEDY)


def _data(entry: Mapping[str, object], field: str, *, may_read: bool) -> bytes:
    inline = text(entry, f"{field}-data")
    if inline:
        try:
            return base64.b64decode(inline, validate=True)
        except (binascii.Error, ValueError) as error:
            raise OperationError(f"the kubeconfig's {field}-data isn't base64", _REMEDY) from error
    path = text(entry, field) if may_read else ""
    return _read(path).encode() if path else b""


def _sandbox_name(cluster: Mapping[str, object]) -> str:
    for extension in mappings(cluster, "extensions"):
        if extension.get("name") == _EXTENSION:
            return text(extension, "extension", "name")
    return ""
