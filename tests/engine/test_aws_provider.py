"""The simulated aws provider on the real engine: programs of pulumi_aws come up, stay, change and go."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import pulumi
import pulumi_aws as aws
import pytest
from fake_world import FakeWorld
from gpu_clusters import Gpu, GpuPool, Nodes
from gpu_clusters.eks import AccessEntry, AutoMode, EksCluster, EksClusterArgs, Karpenter, ManagedNodeGroups
from gpu_clusters.rehearsal.providers import SimulatedProvider, serve
from gpu_clusters.rehearsal.providers.aws import SimulatedAws
from gpu_clusters.rehearsal.providers.generic import SimulatedGeneric
from gpu_clusters.toolchain import Program, ensure
from pulumi import automation as auto


@pytest.fixture(scope="module", autouse=True)
def command_line() -> Generator[None]:
    """The pulumi command on PATH."""
    path = ensure([Program.PULUMI])[Program.PULUMI].path
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")
        yield


class Stack:
    """A program's stack on the real engine, its clouds simulated."""

    def __init__(self, folder: Path, servers: str) -> None:
        (folder / "state").mkdir()
        self._options = auto.LocalWorkspaceOptions(
            work_dir=str(folder),
            pulumi_home=str(folder / "home"),
            env_vars={
                "PULUMI_BACKEND_URL": f"file://{folder}/state",
                "PULUMI_CONFIG_PASSPHRASE": "",
                "PULUMI_DEBUG_PROVIDERS": servers,
                "PULUMI_SKIP_UPDATE_CHECK": "true",
            },
        )
        self.outputs: dict[str, object] = {}

    def up(self, program: Callable[[], None]) -> dict[str, int]:
        """What the engine did, by how many resources."""
        stack = self._stack(program)
        result = stack.up()
        self.outputs = {name: output.value for name, output in result.outputs.items()}
        return {str(kind): count for kind, count in (result.summary.resource_changes or {}).items()}

    def preview(self, program: Callable[[], None]) -> dict[str, int]:
        return {str(kind): count for kind, count in self._stack(program).preview().change_summary.items()}

    def refresh(self, program: Callable[[], None]) -> dict[str, int]:
        return {
            str(kind): count for kind, count in (self._stack(program).refresh().summary.resource_changes or {}).items()
        }

    def destroy(self, program: Callable[[], None]) -> None:
        self._stack(program).destroy()

    def _stack(self, program: Callable[[], None]) -> auto.Stack:
        stack = auto.create_or_select_stack("dev", "clouds", program, opts=self._options)
        stack.set_config("aws:region", auto.ConfigValue("us-west-2"))
        return stack


@pytest.fixture
def world() -> FakeWorld:
    return FakeWorld()


@pytest.fixture
def cloud(world: FakeWorld) -> SimulatedAws:
    return SimulatedAws(world)


@pytest.fixture
def stack(tmp_path: Path, world: FakeWorld, cloud: SimulatedAws) -> Generator[Stack]:
    others: Sequence[SimulatedProvider] = [SimulatedGeneric("kubernetes", "4.34.2", world.journal)]
    with serve([cloud, *others]) as served:
        yield Stack(tmp_path, served.debug_providers)


def arguments(**fields: object) -> EksClusterArgs:
    usual: dict[str, object] = {
        "region": "us-west-2",
        "zones": ["usw2-az1", "usw2-az2"],
        "kubernetes_version": "1.35",
        "deletion_protection": False,
        "gpu_pools": [GpuPool(name="serve", gpu=Gpu.L4, nodes=Nodes(max=4))],
        "access": [AccessEntry(principal_arn="arn:aws:iam::111122223333:role/deployer", policy="clusterAdmin")],
    }
    return EksClusterArgs(**{**usual, **fields})  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "management", [ManagedNodeGroups(), Karpenter(), AutoMode()], ids=lambda one: type(one).__name__
)
def test_a_cluster_comes_up_stays_and_goes(stack: Stack, world: FakeWorld, management: object) -> None:
    def program() -> None:
        cluster = EksCluster("inference", arguments(node_management=management))
        pulumi.export("kubeconfig", cluster.kubeconfig)

    assert set(stack.preview(program)) == {"create"}
    assert world.clusters == {}
    assert set(stack.up(program)) == {"create"}
    (server,) = world.clusters
    assert json.loads(str(stack.outputs["kubeconfig"]))["clusters"][0]["cluster"]["server"] == server
    assert set(stack.up(program)) == {"same"}
    assert set(stack.refresh(program)) == {"same"}
    stack.destroy(program)
    assert world.clusters == {}


def test_a_plain_program_comes_up_stays_changes_and_goes(stack: Stack, world: FakeWorld) -> None:
    size = {"size": "/16"}

    def program() -> None:
        vpc = aws.ec2.Vpc("net", cidr_block=f"10.0.0.0{size['size']}", tags={"Name": "net"})
        subnet = aws.ec2.Subnet("one", vpc_id=vpc.id, cidr_block="10.0.1.0/24", availability_zone="us-west-2a")
        pulumi.export("zone", subnet.availability_zone_id)
        pulumi.export("vpc", vpc.id)

    assert stack.up(program) == {"create": 3}
    assert stack.outputs["zone"] == "usw2-az1"
    first = stack.outputs["vpc"]
    assert stack.up(program) == {"same": 3}
    size["size"] = "/20"
    assert stack.up(program)["replace"] == 2
    assert stack.outputs["vpc"] != first
    stack.destroy(program)
    assert world.unchecked == set()
