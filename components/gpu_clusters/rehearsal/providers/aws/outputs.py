"""What AWS fills in: every type's outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gpu_clusters.rehearsal.providers.aws.identities import DEFAULTS
from gpu_clusters.rehearsal.providers.aws.making import Making, merged
from gpu_clusters.rehearsal.providers.aws.outputs_ec2 import EC2
from gpu_clusters.rehearsal.providers.aws.outputs_eks import EKS
from gpu_clusters.rehearsal.providers.aws.outputs_services import SERVICES
from gpu_clusters.rehearsal.providers.values import Properties, Value, reveal

#: Not of a region: these types' properties don't name one (pulumi-aws 7, "Enhanced region support").
_GLOBAL: Final = ("aws:iam/",)


def outputs(making: Making, default_tags: Mapping[str, Value]) -> Properties:
    """The inputs and what AWS adds to them; what it has given once stays."""
    common: Properties = {"id": making.identity.id}
    if making.identity.arn:
        common["arn"] = making.identity.arn
    if not making.type.startswith(_GLOBAL):
        common["region"] = making.place.region
    tags = reveal(making.inputs.get("tags"))
    own = making.inputs.get("tags") if isinstance(tags, dict) else None
    common["tagsAll"] = {**default_tags, **(tags if isinstance(tags, dict) else {})} if own or default_tags else {}
    said: Properties = {key: value for key, value in making.inputs.items() if key != DEFAULTS and value is not None}
    maker = EC2.get(making.type) or EKS.get(making.type) or SERVICES.get(making.type)
    filled = maker(making) if maker else {}
    return merged({**common, **filled}, said)
