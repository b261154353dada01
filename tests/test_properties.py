"""Whatever is written in a stack's file, it is either a valid stack or a list of errors; never anything else."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
import yaml
from gpu_clusters import ConfigErrors
from gpu_clusters.config import StackArgs, load_stack
from gpu_clusters.preview.recorder import record
from gpu_clusters.stack import build
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.usefixtures("recorded_sandbox")

Value = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 99) | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)
Name = st.sampled_from(["a", "b", "serve", "train", "search", "A_b", "kube-x", ""])
Gpu = st.sampled_from(["l4", "h100", "H100 80GB", "a100", "mi300x", "l5"])
Count = st.integers(-1, 9)
Nodes = st.fixed_dictionaries({"max": Count}, optional={"min": Count})
Sharing = st.fixed_dictionaries(
    {"kind": st.sampled_from(["mig", "timeSlicing", "mps", "none"])},
    optional={"profile": st.sampled_from(["1g.10gb", "9g"]), "replicas": Count},
)
Pool = st.fixed_dictionaries(
    {"name": Name, "gpu": Gpu, "nodes": Nodes},
    optional={"gpusPerNode": st.sampled_from([0, 1, 4, 8, 17]), "sharing": Sharing, "taints": st.just([{"key": "k"}])},
)
Tenant = st.fixed_dictionaries(
    {"name": Name}, optional={"gpus": st.dictionaries(Gpu, Count, max_size=2), "cpus": Count, "viewers": st.just(["g"])}
)
Service = st.fixed_dictionaries(
    {
        "name": Name,
        "namespace": Name,
        "gpu": Gpu,
        "model": st.sampled_from(
            ["mistralai/Mistral-7B-Instruct-v0.3", "meta-llama/Llama-3.3-70B-Instruct", "own/one", "bad"]
        ),
    },
    optional={
        "weightsGib": st.sampled_from([0, 1, 14.5]),
        "tensorParallelSize": Count,
        "replicas": Nodes,
        "pool": Name,
        "maxModelLen": Count,
    },
)


@st.composite
def configurations(draw: st.DrawFn) -> dict[str, object]:
    """A stack's configuration, most of it well formed, with at most two values replaced by anything at all."""
    cluster: dict[str, object] = {"platform": "sandbox", "gpuPools": draw(st.lists(Pool, max_size=3))}
    config: dict[str, object] = {
        "gpu-clusters:cluster": cluster,
        "gpu-clusters:namespaces": draw(st.lists(Tenant, max_size=2)),
        "gpu-clusters:services": draw(st.lists(Service, max_size=2)),
    }
    for _ in range(draw(st.integers(0, 2))):
        target = draw(st.sampled_from([config, cluster]))
        target[draw(st.sampled_from([*target, "other", "gpu-clusters:other"]))] = draw(Value)
    return config


def loaded(config: dict[str, object]) -> StackArgs | ConfigErrors:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "Pulumi.x.yaml"
        path.write_text(yaml.safe_dump({"config": config}))
        try:
            return load_stack(path)
        except ConfigErrors as errors:
            return errors


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(configurations())
def test_a_configuration_is_a_stack_or_errors_with_place_and_remedy(config: dict[str, object]) -> None:
    outcome = loaded(config)
    if isinstance(outcome, ConfigErrors):
        assert outcome.errors
        for error in outcome.errors:
            assert error.problem
            assert error.remedy
            assert error.file


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(configurations())
def test_a_stack_that_is_accepted_can_be_built(config: dict[str, object]) -> None:
    """What the file's check lets through, no component refuses: an `up` doesn't begin what it can't end."""
    outcome = loaded(config)
    if isinstance(outcome, StackArgs):
        recording = record(lambda: build(outcome) and None)
        assert len(recording.of_type("gpu-clusters:serving:LlmService")) == len(outcome.services)
        assert len(recording.of_type("gpu-clusters:namespaces:LlmNamespace")) == len(outcome.namespaces)
