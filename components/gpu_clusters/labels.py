"""The names that this library puts on Kubernetes objects. Stable: changing one is a breaking change."""

from __future__ import annotations

from typing import Final

DOMAIN: Final = "gpu-clusters.dev"

#: On every GPU node; the value is the GPU's name in lower case, e.g. `h100`. Workloads are scheduled on it.
GPU: Final = f"{DOMAIN}/gpu"
#: On every node of a pool; the value is the pool's name.
POOL: Final = f"{DOMAIN}/pool"
#: On every tenant's namespace; the value is the tenant's name.
TENANT: Final = f"{DOMAIN}/tenant"
#: On the objects and pods of one LLM service; the value is the service's name.
SERVICE: Final = f"{DOMAIN}/service"
#: On everything that this library makes.
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MANAGED_BY_VALUE: Final = "gpu-clusters"

#: The taint that keeps pods without GPUs off GPU nodes; GKE sets the same by itself.
GPU_TAINT_KEY: Final = "nvidia.com/gpu"
GPU_TAINT_VALUE: Final = "present"

#: The annotation by which kwok knows the nodes that it plays.
KWOK_NODE: Final = "kwok.x-k8s.io/node"
KWOK_NODE_VALUE: Final = "fake"

# What the sandbox's simulated kubelet reads. They mean nothing on a real cluster.
SANDBOX_DOMAIN: Final = f"sandbox.{DOMAIN}"
#: On a simulated node: its capacity as a JSON object of resource names to quantities.
SANDBOX_CAPACITY: Final = f"{SANDBOX_DOMAIN}/capacity"
#: On a pod: seconds from scheduled to Ready, as a whole number. Default 0: at once.
SANDBOX_STARTUP_SECONDS: Final = f"{SANDBOX_DOMAIN}/startup-seconds"
#: On a pod: if "true", its image can't be pulled: it stays waiting with ImagePullBackOff.
SANDBOX_IMAGE_PULL_ERROR: Final = f"{SANDBOX_DOMAIN}/image-pull-error"
#: On a pod: the exit code with which its container fails once it has started; it ends in CrashLoopBackOff.
SANDBOX_EXIT_CODE: Final = f"{SANDBOX_DOMAIN}/exit-code"
#: On a pod: seconds that it takes to terminate once it is deleted, as a whole number. Default 0.
SANDBOX_TERMINATION_SECONDS: Final = f"{SANDBOX_DOMAIN}/termination-seconds"
#: On a simulated node: the version that its kubelet says it has, e.g. `v1.35`. Default: the API server's.
SANDBOX_KUBELET_VERSION: Final = f"{SANDBOX_DOMAIN}/kubelet-version"
