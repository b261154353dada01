"""The pod of an LLM service: vLLM, set up so that it starts, stays isolated and drains."""

from __future__ import annotations

import math
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from gpu_clusters import labels
from gpu_clusters.cluster import Cluster
from gpu_clusters.images import Image
from gpu_clusters.namespaces.namespace import SERVICE_ACCOUNT
from gpu_clusters.serving.args import LlmServiceArgs
from gpu_clusters.serving.plan import Plan

PORT: Final = 8000
PORT_NAME: Final = "http"

_CACHE: Final = "/cache"
#: The user `vllm` of the image; with another, vLLM needs `USER` set, or finds no name for itself.
_UID: Final = 2000
_PROBE_SECONDS: Final = 10
#: Time for endpoints to forget a pod before it stops taking requests, then for requests in flight, then to exit.
_PRE_STOP_SECONDS: Final = 15
_SHUTDOWN_SECONDS: Final = 45
_EXIT_SECONDS: Final = 15
#: Room beside the weights for compiled kernels, logs and the tokenizer.
_SCRATCH_GIB: Final = 10


def pod(
    name: str, args: LlmServiceArgs, plan: Plan, cluster: Cluster, token_secret: pulumi.Input[str] | None
) -> k8s.core.v1.PodSpecArgs:
    """The pod's specification; it passes Pod Security `restricted`."""
    core = k8s.core.v1
    node_selector = {labels.GPU: args.gpu.value} | ({labels.POOL: args.pool} if args.pool else {})
    return core.PodSpecArgs(
        # A Service called `vllm` would inject VLLM_PORT=tcp://..., which vLLM takes for its own setting and dies of.
        enable_service_links=False,
        automount_service_account_token=False,
        service_account_name=SERVICE_ACCOUNT,
        priority_class_name=args.priority,
        runtime_class_name=cluster.platform.runtime_class,
        termination_grace_period_seconds=_PRE_STOP_SECONDS + _SHUTDOWN_SECONDS + _EXIT_SECONDS,
        node_selector=node_selector,
        tolerations=_tolerations(plan),
        topology_spread_constraints=[
            core.TopologySpreadConstraintArgs(
                max_skew=1,
                topology_key="kubernetes.io/hostname",
                when_unsatisfiable="ScheduleAnyway",
                label_selector=k8s.meta.v1.LabelSelectorArgs(match_labels={labels.SERVICE: name}),
            )
        ],
        security_context=core.PodSecurityContextArgs(
            run_as_non_root=True,
            run_as_user=_UID,
            run_as_group=0,
            fs_group=_UID,
            seccomp_profile=core.SeccompProfileArgs(type="RuntimeDefault"),
        ),
        containers=[_container(name, args, plan, cluster, token_secret)],
        volumes=[
            core.VolumeArgs(name="cache", empty_dir=core.EmptyDirVolumeSourceArgs(size_limit=f"{_disk_gib(plan)}Gi")),
            core.VolumeArgs(
                name="shared-memory",
                empty_dir=core.EmptyDirVolumeSourceArgs(medium="Memory", size_limit=f"{plan.shared_memory_gib}Gi"),
            ),
        ],
    )


def _container(
    name: str, args: LlmServiceArgs, plan: Plan, cluster: Cluster, token_secret: pulumi.Input[str] | None
) -> k8s.core.v1.ContainerArgs:
    core = k8s.core.v1
    resources = {
        "cpu": str(plan.cpus),
        "memory": f"{plan.memory_gib}Gi",
        "ephemeral-storage": f"{_disk_gib(plan)}Gi",
        plan.resource: str(plan.gpus),
    }
    health = core.HTTPGetActionArgs(path="/health", port=PORT_NAME)
    return core.ContainerArgs(
        name="vllm",
        image=cluster.images.reference(args.image or Image.VLLM),
        command=["vllm", "serve"],
        args=_arguments(name, args, plan),
        env=_environment(plan, token_secret),
        ports=[core.ContainerPortArgs(name=PORT_NAME, container_port=PORT)],
        # Guaranteed quality of service: what it asks for is what it has.
        resources=core.ResourceRequirementsArgs(requests=resources, limits=resources),
        security_context=core.SecurityContextArgs(
            allow_privilege_escalation=False, capabilities=core.CapabilitiesArgs(drop=["ALL"])
        ),
        startup_probe=core.ProbeArgs(
            http_get=health,
            period_seconds=_PROBE_SECONDS,
            failure_threshold=math.ceil(plan.startup_budget_seconds / _PROBE_SECONDS),
        ),
        liveness_probe=core.ProbeArgs(
            http_get=health, period_seconds=_PROBE_SECONDS, timeout_seconds=5, failure_threshold=6
        ),
        readiness_probe=core.ProbeArgs(http_get=health, period_seconds=5, timeout_seconds=5, failure_threshold=2),
        lifecycle=core.LifecycleArgs(
            pre_stop=core.LifecycleHandlerArgs(sleep=core.SleepActionArgs(seconds=_PRE_STOP_SECONDS))
        ),
        volume_mounts=[
            core.VolumeMountArgs(name="cache", mount_path=_CACHE),
            core.VolumeMountArgs(name="shared-memory", mount_path="/dev/shm"),  # noqa: S108 - where NCCL wants it
        ],
    )


def _arguments(name: str, args: LlmServiceArgs, plan: Plan) -> list[str]:
    """The command line of `vllm serve`; flags of vLLM 0.33."""
    arguments = [args.model]
    if args.revision:
        arguments += ["--revision", args.revision]
    arguments += ["--served-model-name", args.served_model_name or name]
    arguments += ["--tensor-parallel-size", str(plan.gpus)]
    arguments += ["--gpu-memory-utilization", str(args.gpu_memory_utilization)]
    if args.max_model_len:
        arguments += ["--max-model-len", str(args.max_model_len)]
    # Its default of 0 would cut off requests in flight.
    return [*arguments, "--port", str(PORT), "--shutdown-timeout", str(_SHUTDOWN_SECONDS)]


def _environment(plan: Plan, token_secret: pulumi.Input[str] | None) -> list[k8s.core.v1.EnvVarArgs]:
    core = k8s.core.v1
    values = {
        "HOME": f"{_CACHE}/home",
        "USER": "vllm",
        "TMPDIR": _CACHE,
        "HF_HOME": f"{_CACHE}/huggingface",
        "VLLM_CACHE_ROOT": f"{_CACHE}/vllm",
        "TRITON_CACHE_DIR": f"{_CACHE}/triton",
        "TORCHINDUCTOR_CACHE_DIR": f"{_CACHE}/torchinductor",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_ENGINE_READY_TIMEOUT_S": str(plan.startup_budget_seconds),
    }
    environment = [core.EnvVarArgs(name=name, value=value) for name, value in values.items()]
    if token_secret is not None:
        reference = core.SecretKeySelectorArgs(name=token_secret, key="token")
        source = core.EnvVarSourceArgs(secret_key_ref=reference)
        environment.append(core.EnvVarArgs(name="HF_TOKEN", value_from=source))
    return environment


def _tolerations(plan: Plan) -> list[k8s.core.v1.TolerationArgs]:
    own = k8s.core.v1.TolerationArgs(key=labels.GPU_TAINT_KEY, operator="Exists", effect="NoSchedule")
    taints = {(taint.key, taint.value, taint.effect) for pool in plan.pools for taint in pool.taints}
    return [
        own,
        *(
            k8s.core.v1.TolerationArgs(key=key, operator="Equal", value=value, effect=effect)
            for key, value, effect in sorted(taints)
        ),
    ]


def _disk_gib(plan: Plan) -> int:
    return math.ceil(plan.weights_gib) + _SCRATCH_GIB
