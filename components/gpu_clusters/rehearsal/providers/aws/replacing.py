"""What a changed input does at AWS: nothing, an update, or a replacement (`data/aws_replacing_properties.csv`)."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import Final

from gpu_clusters import data
from gpu_clusters.rehearsal.providers.aws.identities import DEFAULTS, has_own_name
from gpu_clusters.rehearsal.providers.diffing import Path, differences, parse_path, value_at
from gpu_clusters.rehearsal.providers.interface import Change, Difference, PropertyChange
from gpu_clusters.rehearsal.providers.values import UNKNOWN, Properties, Value, reveal_all

#: Lists in which order means nothing: sets in terraform-provider-aws's schemas.
_SETS: Final = frozenset(
    {
        *("subnetIds", "securityGroupIds", "securityGroups", "vpcSecurityGroupIds", "taints", "cidrBlocks"),
        *("ipv6CidrBlocks", "publicAccessCidrs", "enabledClusterLogTypes", "nodePools", "kubernetesGroups"),
        *("routeTableIds", "ingress", "egress", "managedPolicyArns", "vpcZoneIdentifiers", "thumbprintLists"),
    }
)
#: JSON documents, which are compared by what they say.
_DOCUMENTS: Final = frozenset(
    {*("policy", "assumeRolePolicy", "configurationValues", "eventPattern", "redrivePolicy", "inlinePolicy")}
)
#: Replaced when it is taken away or turned off, not when it is added (internal/service/eks/cluster.go, CustomizeDiff).
_ONE_WAY: Final = {"aws:eks/cluster:Cluster": (("encryptionConfig",), ("computeConfig", "nodeRoleArn"))}


def difference(type_: str, old: Properties, new: Properties) -> Difference:
    """Compare inputs. What isn't in the table is updated in place.

    A resource that the program itself has named is deleted before its successor comes, since both can't have the name
    (pulumi/pulumi-terraform-bridge, `pkg/tfbridge/provider.go`, `nameRequiresDeleteBeforeReplace`).
    """
    before, after = _normal(reveal_all(old)), _normal(reveal_all(new))
    found = differences(before, after)
    kept, replacing = _row(type_)
    changes: dict[str, PropertyChange] = {}
    for text, change in found.items():
        path = parse_path(text)
        if change.change is Change.DELETE and path[:1] in kept:
            continue
        changes[text] = replace(change, replaces=_replaces(type_, path, replacing, before, after))
    is_replaced = any(change.replaces for change in changes.values())
    return Difference(changes, delete_before_replace=is_replaced and has_own_name(type_, new) and _same_name(old, new))


def _replaces(type_: str, path: Path, replacing: frozenset[Path], before: Properties, after: Properties) -> bool:
    bare = tuple(step for step in path if isinstance(step, str))
    for one in replacing:
        if bare[: len(one)] == one:
            return True
        # A whole block came or went: what in it replaces was set, or is now.
        if one[: len(bare)] == bare and value_at(before, one) != value_at(after, one):
            return True
    for one in _ONE_WAY.get(type_, ()):
        had, has = value_at(before, one), value_at(after, one)
        is_touched = bare[: len(one)] == one or one[: len(bare)] == bare
        if is_touched and had and had != has and (not has or len(one) > 1):
            return True
    return False


def _same_name(old: Properties, new: Properties) -> bool:
    return DEFAULTS not in old and DEFAULTS not in new


@cache
def _row(type_: str) -> tuple[frozenset[Path], frozenset[Path]]:
    for row in data.rows("aws_replacing_properties"):
        if row["type"] == type_:
            kept = frozenset((name,) for name in row["kept"].split())
            return kept, frozenset(tuple(name.split(".")) for name in (*row["replacing"].split(), "region"))
    return frozenset(), frozenset({("region",)})


def _normal(inputs: Properties) -> Properties:
    """The inputs with sets in one order and documents as what they say; empty blocks and absent ones are alike."""
    return {key: _normal_at(key, value) for key, value in inputs.items() if key != DEFAULTS and value is not None}


def _normal_at(key: str, value: Value) -> Value:
    if isinstance(value, dict):
        return _normal(value)
    if isinstance(value, list):
        items = [_normal_at("", item) for item in value]
        return sorted(items, key=_order) if key in _SETS and UNKNOWN not in items else items
    if isinstance(value, str) and key in _DOCUMENTS:
        return _document(value)
    return value


def _document(text: str) -> Value:
    try:
        # One spelling for each meaning; compared as text, so that a change is one change.
        return json.dumps(json.loads(text), sort_keys=True)
    except ValueError:
        return text


def _order(item: Value) -> str:
    return repr(item)
