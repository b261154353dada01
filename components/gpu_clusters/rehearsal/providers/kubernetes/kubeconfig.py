"""Which cluster a provider's configuration means, and whether it is one of our sandboxes."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, cast
from urllib.parse import urlsplit

import yaml

from gpu_clusters import _paths
from gpu_clusters.errors import OperationError
from gpu_clusters.rehearsal.providers.kubernetes.objects import mapping, mappings, text
from gpu_clusters.rehearsal.providers.values import Properties, Value, reveal, reveal_all

# What the sandbox writes into its kubeconfig's cluster entry; the value has `name` and `identity`.
_EXTENSION: Final = "sandbox.gpu-clusters.dev"
_REMEDY: Final = "give the Provider the kubeconfig of a sandbox (`gpu-clusters sandbox kubeconfig`)"


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


def resolve(config: Properties) -> Cluster:
    """The cluster that a Provider's inputs mean, contexts and overrides applied.

    Only what the inputs themselves say counts: the ambient kubeconfig is never read.

    Raises:
        OperationError: no kubeconfig is given, or it can't be used.
    """
    config = reveal_all(config)
    document = _document(config.get("kubeconfig"))
    context_name = text(config, "context") or text(document, "current-context")
    context = mapping(_named(document, "contexts", context_name), "context")
    cluster_name = text(config, "cluster") or text(context, "cluster")
    entry = _named(document, "clusters", cluster_name)
    user_entry = _named(document, "users", text(context, "user"))
    cluster, user = mapping(entry, "cluster"), mapping(user_entry, "user")
    server = text(cluster, "server").rstrip("/")
    if not server.startswith("https://"):
        raise OperationError(f"the kubeconfig's cluster {cluster_name!r} has no https server", _REMEDY)
    if cluster.get("insecure-skip-tls-verify") or cluster.get("proxy-url") or cluster.get("tls-server-name"):
        raise OperationError(f"the kubeconfig's cluster {cluster_name!r} bypasses the check of its identity", _REMEDY)
    single: Properties = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [entry],
        "users": [user_entry],
        "contexts": [{"name": context_name, "context": {**context, "cluster": cluster_name}}],
        "current-context": context_name,
    }
    return Cluster(
        server=server,
        authority=_data(cluster, "certificate-authority"),
        certificate=_data(user, "client-certificate"),
        key=_data(user, "client-key"),
        token=text(user, "token"),
        namespace=text(context, "namespace") or "default",
        sandbox=_sandbox_name(cluster),
        content=yaml.safe_dump(single, sort_keys=False),
    )


def is_sandbox_kubeconfig(content: str) -> bool:
    """Whether a kubeconfig's current context is a cluster of one of this user's sandboxes.

    The sandbox's own kubeconfig on this machine is the proof: both the server's URL and the certificate authority have
    to be the same, so that neither a name nor a port can pass for one.
    """
    try:
        cluster = resolve({"kubeconfig": content})
    except OperationError:
        return False
    return any(own.server == cluster.server and own.authority == cluster.authority for own in _sandboxes())


def moved(cluster: Cluster) -> Cluster:
    """The same sandbox at the address that it has now: it may have been given another port since."""
    for own in _sandboxes() if _is_on_loopback(cluster) else ():
        if own.authority and own.authority == cluster.authority and own.server != cluster.server:
            content = cluster.content.replace(cluster.server, own.server)
            return replace(cluster, server=own.server, content=content)
    return cluster


def is_deleted_sandbox(cluster: Cluster) -> bool:
    """Whether this was a sandbox whose data is gone: none on this machine has its authority any more."""
    named = bool(cluster.sandbox) and _is_on_loopback(cluster)
    return named and all(own.authority != cluster.authority for own in _sandboxes())


def _is_on_loopback(cluster: Cluster) -> bool:
    return urlsplit(cluster.server).hostname in {"127.0.0.1", "localhost", "::1"}


def _sandboxes() -> Iterator[Cluster]:
    # A sandbox that is being made or deleted has a folder whose name starts with a dot.
    for path in sorted((_paths.state_dir() / "sandboxes").glob("[!.]*/kubeconfig")):
        try:
            yield resolve({"kubeconfig": path.read_text("utf-8")})
        except (OperationError, OSError, ValueError):
            # One that is being written, or was damaged, proves nothing.
            continue


def _document(kubeconfig: Value) -> Properties:
    kubeconfig = reveal(kubeconfig)
    if isinstance(kubeconfig, str) and kubeconfig.strip():
        source = kubeconfig if "\n" in kubeconfig or kubeconfig.lstrip().startswith("{") else _read(kubeconfig)
        try:
            document = cast(Value, yaml.safe_load(source))
        except yaml.YAMLError as error:
            raise OperationError("the kubeconfig isn't valid YAML", _REMEDY, str(error).splitlines()) from error
    else:
        document = kubeconfig
    if not isinstance(document, dict) or not document:
        raise OperationError(
            "the simulated kubernetes provider was given no kubeconfig; it never uses the ambient one", _REMEDY
        )
    return document


def _read(path: str) -> str:
    try:
        return Path(path).expanduser().read_text("utf-8")
    except (OSError, ValueError) as error:
        raise OperationError(f"the kubeconfig {path} can't be read: {error}", _REMEDY) from error


def _named(document: Properties, section: str, name: str) -> Properties:
    for entry in mappings(document, section):
        if entry.get("name") == name:
            return entry
    raise OperationError(f"the kubeconfig has no entry {name!r} under {section}", _REMEDY)


def _data(entry: Properties, field: str) -> bytes:
    inline = text(entry, f"{field}-data")
    if inline:
        try:
            return base64.b64decode(inline, validate=True)
        except (binascii.Error, ValueError) as error:
            raise OperationError(f"the kubeconfig's {field}-data isn't base64", _REMEDY) from error
    path = text(entry, field)
    return _read(path).encode() if path else b""


def _sandbox_name(cluster: Properties) -> str:
    for extension in mappings(cluster, "extensions"):
        if extension.get("name") == _EXTENSION:
            return text(extension, "extension", "name")
    return ""
