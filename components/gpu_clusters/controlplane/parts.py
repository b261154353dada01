"""How each part of the control plane is started and asked for its health.

The flags that raise limits and parallelism are there as a sandbox has no neighbours to protect: with client-go's
defaults (20 requests a second) a roll-out of thousands of pods would take minutes.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gpu_clusters import labels
from gpu_clusters.controlplane import loopback
from gpu_clusters.controlplane.layout import ETCD_PEER, Layout, Part
from gpu_clusters.controlplane.ports import LOOPBACK
from gpu_clusters.controlplane.state import State

_CONFIGURATION: Final = Path(__file__).parent / "kwok"
# kwok/nodes.yaml reads it.
_KUBELET_VERSION: Final = "GPU_CLUSTERS_KUBELET_VERSION"
_ENVIRONMENT: Final = ("HOME", "PATH", "TMPDIR", "TZ")
# Go collects garbage less often than by default, which saves a quarter of the processor time of a roll-out, but not
# at the price of the user's memory.
_GARBAGE_COLLECTION: Final = {"GOGC": "400", "GOMEMLIMIT": "1GiB"}
_SERVICE_RANGE: Final = "10.96.0.0/16"
_QPS: Final = ("--kube-api-qps=2000", "--kube-api-burst=2000")
# Ten years. A simulated node has no kubelet whose heartbeats could stop, and thousands of Leases to renew would keep
# the processors busy for ever. That kwok is down, `sandbox status` says at once.
_HEARTBEAT_GRACE: Final = "87600h"


def command(part: Part, program: Path, layout: Layout, state: State) -> list[str]:
    """The command line of a part. It listens on loopback only."""
    build = {
        Part.ETCD: _etcd,
        Part.KUBE_APISERVER: _kube_apiserver,
        Part.KUBE_CONTROLLER_MANAGER: _kube_controller_manager,
        Part.KUBE_SCHEDULER: _kube_scheduler,
        Part.KWOK: _kwok,
    }[part]
    return [str(program), layout.marker(part), *build(layout, state)]


def environment(part: Part, state: State) -> Mapping[str, str]:
    """A part's environment.

    It has little of the command's own: etcd takes every `ETCD_...` and kwok every `KWOK_...` for a setting.
    """
    inherited = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    own = {_KUBELET_VERSION: state.version or ""} if part is Part.KWOK else {}
    return {**inherited, **_GARBAGE_COLLECTION, **own}


class Health:
    """Asks the parts of one sandbox whether they work."""

    def __init__(self, layout: Layout, state: State) -> None:
        self._layout, self._state = layout, state
        self._contexts: dict[Part, ssl.SSLContext | None] = {}

    def is_healthy(self, part: Part) -> bool:
        """Whether a part says that it works."""
        path = {Part.ETCD: "/health", Part.KUBE_APISERVER: "/readyz"}.get(part, "/healthz")
        response = self._get(part, path)
        return response is not None and response.status == 200

    def get(self, path: str) -> loopback.Response | None:
        """GET a path of the API server as an administrator."""
        return self._get(Part.KUBE_APISERVER, path)

    def _get(self, part: Part, path: str) -> loopback.Response | None:
        if part not in self._contexts:
            try:
                self._contexts[part] = self._context(part)
            except OSError:
                return None
        return loopback.get(self._state.ports[part], path, self._contexts[part])

    def _context(self, part: Part) -> ssl.SSLContext | None:
        pki = self._layout.pki
        match part:
            case Part.ETCD:
                return loopback.tls(pki / "etcd-ca.crt", pki / "etcd-client.crt")
            case Part.KUBE_APISERVER:
                return loopback.tls(pki / "ca.crt", pki / "admin.crt")
            case Part.KWOK:
                return None
            case _:
                return loopback.tls(pki / "ca.crt")


def _etcd(layout: Layout, state: State) -> list[str]:
    client, peer = (f"https://{LOOPBACK}:{state.ports[name]}" for name in (Part.ETCD, ETCD_PEER))
    pki = layout.pki
    return [
        "--name=sandbox",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=sandbox={peer}",
        f"--cert-file={pki / 'etcd.crt'}",
        f"--key-file={pki / 'etcd.key'}",
        f"--trusted-ca-file={pki / 'etcd-ca.crt'}",
        "--client-cert-auth",
        f"--peer-cert-file={pki / 'etcd.crt'}",
        f"--peer-key-file={pki / 'etcd.key'}",
        f"--peer-trusted-ca-file={pki / 'etcd-ca.crt'}",
        "--peer-client-cert-auth",
        # It survives a killed process; only a power cut can cost a sandbox its data.
        "--unsafe-no-fsync",
        # A lone member elects itself after three heartbeats. At the default of 100 ms each, the API server would find
        # etcd not yet serving, and try again only a second later.
        "--heartbeat-interval=10",
        "--election-timeout=100",
        "--log-level=warn",
    ]


def _kube_apiserver(layout: Layout, state: State) -> list[str]:
    pki = layout.pki
    return [
        f"--bind-address={LOOPBACK}",
        f"--advertise-address={LOOPBACK}",
        f"--secure-port={state.ports[Part.KUBE_APISERVER]}",
        # It lets go of the port at once when it ends, with no wait for the connections of the last one.
        "--permit-address-sharing",
        f"--tls-cert-file={pki / 'kube-apiserver.crt'}",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--etcd-servers=https://{LOOPBACK}:{state.ports[Part.ETCD]}",
        f"--etcd-cafile={pki / 'etcd-ca.crt'}",
        f"--etcd-certfile={pki / 'etcd-client.crt'}",
        f"--etcd-keyfile={pki / 'etcd-client.key'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={pki / 'service-account.pub'}",
        f"--service-account-signing-key-file={pki / 'service-account.key'}",
        f"--service-cluster-ip-range={_SERVICE_RANGE}",
        "--authorization-mode=Node,RBAC",
        "--allow-privileged",
        "--endpoint-reconciler-type=none",
        *_aggregation(pki),
        # Nobody is to be kept from starving another; limits take the place of fair queues.
        "--enable-priority-and-fairness=false",
        "--max-requests-inflight=3000",
        "--max-mutating-requests-inflight=1000",
        "--profiling=false",
    ]


def _aggregation(pki: Path) -> list[str]:
    """What lets controllers beside the sandbox serve APIs through its API server (kube-aggregator)."""
    return [
        f"--requestheader-client-ca-file={pki / 'front-proxy-ca.crt'}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={pki / 'front-proxy-client.crt'}",
        f"--proxy-client-key-file={pki / 'front-proxy-client.key'}",
    ]


def _kube_controller_manager(layout: Layout, state: State) -> list[str]:
    return [
        *_serving(layout, state, Part.KUBE_CONTROLLER_MANAGER),
        f"--root-ca-file={layout.pki / 'ca.crt'}",
        f"--service-account-private-key-file={layout.pki / 'service-account.key'}",
        "--use-service-account-credentials",
        f"--node-monitor-grace-period={_HEARTBEAT_GRACE}",
        # Its annotations tell kubelets how long to cache Secrets, and cost a write for every node whenever their
        # number passes 100, 500 and 1,000.
        "--controllers=*,-ttl-controller",
        "--concurrent-deployment-syncs=20",
        "--concurrent-replicaset-syncs=20",
        "--concurrent-statefulset-syncs=20",
        "--concurrent-daemonset-syncs=10",
        "--concurrent-job-syncs=20",
        "--concurrent-resource-quota-syncs=20",
        # How soon a metric moves a HorizontalPodAutoscaler; 15 s by default.
        "--horizontal-pod-autoscaler-sync-period=5s",
    ]


def _kube_scheduler(layout: Layout, state: State) -> list[str]:
    return _serving(layout, state, Part.KUBE_SCHEDULER)


def _serving(layout: Layout, state: State, part: Part) -> list[str]:
    return [
        f"--bind-address={LOOPBACK}",
        f"--secure-port={state.ports[part]}",
        "--permit-address-sharing",
        f"--tls-cert-file={layout.pki / 'loopback.crt'}",
        f"--tls-private-key-file={layout.pki / 'loopback.key'}",
        "--leader-elect=false",
        "--profiling=false",
        *_QPS,
    ]


def _kwok(_layout: Layout, state: State) -> list[str]:
    # kwok forgets at its end which addresses pods have, so each start gives them out of another range.
    cidr = f"10.{128 + state.starts % 128}.0.0/16"
    return [
        f"--manage-nodes-with-annotation-selector={labels.KWOK_NODE}={labels.KWOK_NODE_VALUE}",
        "--node-lease-duration-seconds=0",
        f"--server-address={LOOPBACK}:{state.ports[Part.KWOK]}",
        f"--cidr={cidr}",
        *(f"--config={path}" for path in sorted(_CONFIGURATION.glob("*.yaml"))),
        "--v=WARN",
    ]
