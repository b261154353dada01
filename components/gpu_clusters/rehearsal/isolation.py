"""A process without its user's credentials, kubeconfigs and endpoints, for as long as a rehearsal runs.

Every provider of a rehearsal is simulated, so that none of them would use these. What is kept from them here is the
program's own code, and the engine: it finds no account to log in to, and no plugin.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import platformdirs

from gpu_clusters._paths import CACHE_VARIABLE, STATE_VARIABLE, cache_dir
from gpu_clusters.controlplane.sandbox import ON_DEMAND_VARIABLE

#: What the variables begin with that name accounts, credentials, endpoints or places of such. As the clouds' SDKs and
#: Pulumi's providers document them: aws, azure-native, gcp, kubernetes, oci, digitalocean, hcloud, vault, docker.
_PREFIXES: Final = (
    *("AWS_", "AMAZON_", "EKS_", "BOTO_"),
    *("AZURE_", "ARM_", "MSI_", "IDENTITY_", "IMDS_"),
    *("GOOGLE_", "GCLOUD_", "GCP_", "GCE_", "CLOUDSDK_", "USE_GKE_"),
    *("KUBE", "HELM_", "PULUMI_", "XDG_", "DOCKER_", "PODMAN_", "VAULT_", "NOMAD_", "CONSUL_"),
    *("OCI_", "DIGITALOCEAN_", "SPACES_", "HCLOUD_", "LINODE_", "CLOUDFLARE_", "VSPHERE_", "OS_", "LAMBDALABS_"),
)
_NAMES: Final = frozenset(
    {"SSH_AUTH_SOCK", "SSH_AGENT_PID", "NETRC", "GITHUB_TOKEN", "GITLAB_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"}
    | {"ACTIONS_ID_TOKEN_REQUEST_URL", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "GRPC_PROXY", "NO_PROXY"}
)
#: Names a folder of programs, not a cluster.
_KEPT: Final = frozenset({"KUBEBUILDER_ASSETS"})


def is_ambient(variable: str) -> bool:
    """Whether an environment variable may name an account, a cluster, credentials for one, or a way to one."""
    name = variable.upper()
    return name not in _KEPT and (name in _NAMES or name.startswith(_PREFIXES))


@contextmanager
def isolated(folder: Path) -> Generator[None]:
    """Take the user's surroundings from this process and all that it starts, until the block ends in whichever way.

    Home is an empty folder, our own state folder a fresh one with no sandboxes (one that a program asks for starts
    there), the programs that were built stay. What the program itself changes in the environment is undone, too.

    Args:
        folder: where home and state are made.
    """
    before = dict(os.environ)
    ours = _environment(folder)
    try:
        for name in filter(is_ambient, before):
            del os.environ[name]
        os.environ.update(ours)
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


def state_folder(folder: Path) -> Path:
    """Where a rehearsal in `folder` keeps what this library keeps in its state folder otherwise."""
    return folder / "state"


def _environment(folder: Path) -> dict[str, str]:
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    # Charts that were fetched before; it holds no credentials.
    charts = os.environ.get("HELM_CACHE_HOME") or platformdirs.user_cache_path("helm")
    return {
        "HOME": str(home),
        "USERPROFILE": str(home),
        CACHE_VARIABLE: str(cache_dir()),
        STATE_VARIABLE: str(state_folder(folder)),
        ON_DEMAND_VARIABLE: "1",
        "HELM_CACHE_HOME": str(charts),
        # Else SDKs ask the machine that they run on for an identity.
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_GCE_CHECK": "true",
        "PULUMI_HOME": str(folder / "pulumi-home"),
        # Without sidecar files, which nobody needs.
        "PULUMI_BACKEND_URL": f"{backend(folder).as_uri()}?metadata=skip",
        "PULUMI_CONFIG_PASSPHRASE": "",
        "PULUMI_SKIP_UPDATE_CHECK": "1",
        "PULUMI_IGNORE_AMBIENT_PLUGINS": "1",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "1",
    }


def backend(folder: Path) -> Path:
    """The temporary backend of a rehearsal in `folder`."""
    path = folder / "backend"
    path.mkdir(parents=True, exist_ok=True)
    return path
