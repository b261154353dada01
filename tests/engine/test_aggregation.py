"""The API server passes requests on to a controller that runs as a local process beside it."""

from __future__ import annotations

import base64
import datetime
import json
import ssl
import threading
from collections.abc import Generator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cluster_api import Api, Json, at, condition, until
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

GROUP = "demo.gpu-clusters.dev"
VERSION = f"/apis/{GROUP}/v1"
_RESOURCES: Json = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": f"{GROUP}/v1",
    "resources": [{"name": "things", "singularName": "thing", "namespaced": False, "kind": "Thing", "verbs": ["list"]}],
}
_THINGS: Json = {"kind": "ThingList", "apiVersion": f"{GROUP}/v1", "items": [{"metadata": {"name": "one"}}]}


@dataclass
class Controller:
    """An extension API server: it trusts nobody but the API server's proxy, and notes for whom that speaks."""

    port: int
    certificate: bytes
    users: list[str] = field(default_factory=list[str])


def _certificate() -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("demo.default.svc")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM), private


@pytest.fixture
def controller(api: Api, tmp_path: Path) -> Generator[Controller]:
    certificate, key = _certificate()
    (tmp_path / "server.pem").write_bytes(certificate + key)
    settings = api.get("/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    # Whoever else connects has no certificate of this authority, and the handshake fails.
    context.load_verify_locations(cadata=str(at(settings, "data")["requestheader-client-ca-file"]))
    context.verify_mode = ssl.CERT_REQUIRED
    made = Controller(0, certificate)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith(f"{VERSION}/things"):
                made.users.append(self.headers.get("X-Remote-User", ""))
            body = json.dumps(_THINGS if "things" in self.path else _RESOURCES).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield made
    server.shutdown()
    thread.join()


def test_an_api_of_a_local_process_is_served_by_the_api_server(api: Api, controller: Controller) -> None:
    services = "/api/v1/namespaces/default/services"
    registrations = "/apis/apiregistration.k8s.io/v1/apiservices"
    outside = {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": controller.port}]}
    api.create(services, {"metadata": {"name": "demo"}, "spec": outside})
    registration: Json = {
        "metadata": {"name": f"v1.{GROUP}"},
        "spec": {
            "group": GROUP,
            "version": "v1",
            "groupPriorityMinimum": 1000,
            "versionPriority": 10,
            "caBundle": base64.b64encode(controller.certificate).decode(),
            "service": {"namespace": "default", "name": "demo", "port": controller.port},
        },
    }
    api.create(registrations, registration)
    try:
        until(lambda: condition(api.get(f"{registrations}/v1.{GROUP}"), "Available") == "True")
        things = until(lambda: next(iter([api.request("GET", f"{VERSION}/things")]), None))
        assert things == (200, _THINGS)
        assert controller.users[-1]
    finally:
        api.delete(f"{registrations}/v1.{GROUP}")
        api.delete(f"{services}/demo")
