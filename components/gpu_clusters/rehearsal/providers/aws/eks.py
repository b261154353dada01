"""What EKS does to the rehearsal's clusters: control planes come and go, node groups scale and roll."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Final

from gpu_clusters.errors import OperationError
from gpu_clusters.rehearsal.providers.aws.identities import text
from gpu_clusters.rehearsal.providers.aws.made import Existing, Made
from gpu_clusters.rehearsal.providers.aws.making import Making, merged
from gpu_clusters.rehearsal.providers.aws.node_templates import launch_template, node_template
from gpu_clusters.rehearsal.providers.aws.outputs_eks import CLUSTER, NODE_GROUP, inner
from gpu_clusters.rehearsal.providers.values import Properties, Value, reveal
from gpu_clusters.rehearsal.world import SimulatedPool, World

#: What an update of rolls a group's nodes.
_RELEASE: Final = ("version", "releaseVersion", "launchTemplate")
_AT_MOST: Final = 100


class ClusterEffects:
    """Plays EKS in a world.

    Args:
        world: the clusters.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._servers: dict[str, str] = {}

    def created(self, making: Making, filled: Properties) -> Properties:
        """Do what the creation of a resource does, and wait for it; its outputs."""
        if making.type == CLUSTER:
            server = text(filled, "endpoint")
            self._servers[making.identity.id] = server
            self._world.create_cluster(server, name=making.identity.id, kubernetes_version=text(filled, "version"))
            return {**filled, "certificateAuthority": {"data": self._world.authority(server)}}
        if making.type == NODE_GROUP:
            return self._set_group(making, filled, image=_image(making.inputs, filled, making.made))
        return filled

    def updated(self, making: Making, filled: Properties) -> Properties:
        """Do what an update does: a new version of a cluster, a new size, or a roll of its nodes."""
        if making.type == CLUSTER:
            server = text(filled, "endpoint")
            if text(filled, "version") != text(making.old, "version"):
                self._world.create_cluster(server, name=making.identity.id, kubernetes_version=text(filled, "version"))
            return merged({"certificateAuthority": making.old.get("certificateAuthority")}, filled)
        if making.type != NODE_GROUP:
            return filled
        return self._set_group(making, filled, image=self._image_after(making, filled))

    def deleted(self, existing: Existing) -> None:
        """Do what a deletion does."""
        if existing.kind == CLUSTER:
            self._world.delete_cluster(text(existing.outputs, "endpoint"))
        elif existing.kind == NODE_GROUP:
            server = self._servers.get(text(existing.inputs, "clusterName"))
            if server:
                self._world.delete_pool(server, pool_name(existing.outputs))

    def now(self, existing: Existing) -> Properties:
        """A resource's outputs as they are now: an autoscaler may have scaled a group."""
        server = self._servers.get(text(existing.inputs, "clusterName"))
        if existing.kind != NODE_GROUP or server is None:
            return existing.outputs
        for pool in self._world.pools(server):
            if pool.name == pool_name(existing.outputs):
                return merged(existing.outputs, {"scalingConfig": {"desiredSize": pool.desired}})
        return existing.outputs

    def _set_group(self, making: Making, filled: Properties, image: str) -> Properties:
        name = text(making.inputs, "clusterName")
        server = self._servers.get(name)
        if server is None:
            raise OperationError(
                f"ResourceNotFoundException: no cluster found for name: {name}",
                "make the cluster in this stack, and pass its `name`",
            )
        self._world.set_pool(server, simulated_pool(making, filled, image))
        return filled

    def _image_after(self, making: Making, filled: Properties) -> str:
        """The image and template of a group's nodes: only an update of these three changes them.

        Source: EKS API reference, UpdateNodegroupVersion. A group of `$Latest` stays with what was the latest then.
        """
        server = self._servers.get(text(making.inputs, "clusterName"), "")
        before = [pool for pool in self._world.pools(server) if pool.name == pool_name(filled)] if server else []
        if before and all(making.old.get(key) == filled.get(key) for key in _RELEASE):
            return before[0].template.image
        return _image(making.inputs, filled, making.made)


def pool_name(filled: Properties) -> str:
    """What the report calls a group."""
    return f"node group {text(filled, 'nodeGroupName')}"


def simulated_pool(making: Making, filled: Properties, image: str) -> SimulatedPool:
    """A node group as the rehearsal plays it.

    Every group whose bounds differ counts as autoscaled: EKS itself tags the Auto Scaling group of each managed group
    so that the cluster autoscaler finds it (EKS user guide, "Simplify node lifecycle with managed node groups").
    """
    scaling = inner(making.inputs, "scalingConfig")
    least, most = _number(scaling.get("minSize"), 0), _number(scaling.get("maxSize"), 1)
    desired = _number(scaling.get("desiredSize"), least)
    template = node_template(making.inputs, filled, image, making.place, making.made)
    update = inner(making.inputs, "updateConfig")
    at_once = max_unavailable(update, desired)
    return SimulatedPool(
        name=pool_name(filled),
        node_prefix=text(filled, "nodeGroupName"),
        minimum=least,
        maximum=most,
        desired=desired,
        template=template,
        autoscaled=most > least,
        max_unavailable=at_once,
        surge=surge(update, at_once, template.topologies),
    )


def max_unavailable(update: Properties, nodes: int) -> int:
    """How many nodes an update takes down at once: 1 by default, 100 at most."""
    share = _number(update.get("maxUnavailablePercentage"), 0)
    count = ceil(nodes * share / 100) if share else _number(update.get("maxUnavailable"), 1)
    return max(1, min(count, _AT_MOST))


def surge(update: Properties, at_once: int, zones: Sequence[object]) -> int:
    """How many nodes an update adds first, beyond the group's maximum if need be.

    By default it raises the group's maximum and desired size by twice its zones, or by `maxUnavailable` where that is
    more; MINIMAL ends old nodes first. Source: EKS user guide, "Understand each phase of node updates".
    """
    return 0 if text(update, "updateStrategy") == "MINIMAL" else max(2 * len(zones), at_once)


def _image(group: Properties, filled: Properties, made: Made) -> str:
    """What tells the image and template of a group's nodes from others."""
    template = launch_template(group, made)
    said = text(inner(group, "launchTemplate"), "version")
    version: Value = said
    if template and said in ("", "$Latest"):
        version = template.outputs.get("latestVersion")
    elif template and said == "$Default":
        version = template.outputs.get("defaultVersion")
    named = f"{template.id}:{version}" if template else ""
    own = text(template.inputs, "imageId") if template else ""
    return " ".join(part for part in (text(filled, "amiType"), text(filled, "releaseVersion"), own, named) if part)


def _number(value: Value, default: int) -> int:
    shown = reveal(value)
    return shown if isinstance(shown, int) and not isinstance(shown, bool) else default
