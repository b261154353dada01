"""A resource's outputs: what the program says, and what AWS fills in, derived from inputs and URN alone."""

from __future__ import annotations

from typing import Final

from gpu_clusters.rehearsal.providers.aws.account import Account, identities, prefixed_name
from gpu_clusters.rehearsal.providers.aws.catalogue import ResourceType
from gpu_clusters.rehearsal.providers.aws.ec2_outputs import EC2_ANSWERS
from gpu_clusters.rehearsal.providers.aws.making import Making
from gpu_clusters.rehearsal.providers.aws.other_outputs import OTHER_ANSWERS
from gpu_clusters.rehearsal.providers.aws.reading import text
from gpu_clusters.rehearsal.providers.values import UNKNOWN, Properties

#: Types without `tagsAll`.
_NO_TAGS: Final = frozenset(("aws:autoscaling/tag:Tag", "aws:autoscaling/group:Group", "aws:ec2/tag:Tag"))


def new_outputs(
    kind: ResourceType, region: str, urn: str, inputs: Properties, account: Account, generation: int
) -> tuple[str, Properties]:
    """The id and the outputs of a new resource; `inputs` are without secret marks."""
    known: Properties = {key: value for key, value in inputs.items() if value is not None}
    prefix = text(known, kind.prefix) if kind.prefix else ""
    if kind.name and kind.name not in known:
        known[kind.name] = prefixed_name(kind, region, prefix, f"{urn}#{generation}", account) if prefix else ""
    identity, arn = identities(kind, region, urn, generation, known)
    if arn:
        known["arn"] = arn
    if "region" not in known and kind.service != "iam":
        known["region"] = region
    if kind.token not in _NO_TAGS:
        known.setdefault("tagsAll", known.get("tags") or {})
    making = Making(kind, region, identity, known, f"{urn}#{generation}", account)
    more = EC2_ANSWERS.get(kind.token) or OTHER_ANSWERS.get(kind.token)
    return identity, {**merged(more(making), known), "id": identity} if more else {**known, "id": identity}


def updated_outputs(before: Properties, old: Properties, new: Properties) -> Properties:
    """The outputs after an update: what the program says stands, what it no longer says is gone."""
    dropped = old.keys() - new.keys()
    outputs = merged({key: value for key, value in before.items() if key not in dropped}, new)
    return {**outputs, "tagsAll": new.get("tags") or {}} if "tagsAll" in before else outputs


def merged(defaults: Properties, given: Properties) -> Properties:
    """What was given, with defaults where nothing was, at any depth of objects."""
    result: Properties = dict(defaults)
    for key, value in given.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result


def previewed(outputs: Properties, inputs: Properties) -> Properties:
    """The outputs as a preview has them: what the program doesn't say is unknown."""
    result: Properties = {}
    for key, value in outputs.items():
        given = inputs.get(key)
        if isinstance(value, dict) and isinstance(given, dict) and key not in ("tags", "tagsAll"):
            result[key] = previewed(value, given)
        else:
            result[key] = given if key in inputs else UNKNOWN
    return result
