"""Ids, ARNs and names, as AWS and its provider make them: the patterns are rows of `data/aws_identities.csv`."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from functools import cache
from typing import Final

from gpu_clusters import data
from gpu_clusters.rehearsal.providers.aws.places import ACCOUNT, Place
from gpu_clusters.rehearsal.providers.interface import Resource
from gpu_clusters.rehearsal.providers.plausible import digest
from gpu_clusters.rehearsal.providers.values import Properties, Value, reveal

#: Which inputs aren't the program's: pulumi-terraform-bridge notes the names that it has made up so.
DEFAULTS: Final = "__defaults"
_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")
_NAME_HEX: Final = 7
_PREFIXED_HEX: Final = 26


@dataclass(frozen=True)
class Identity:
    """What a resource is known by. `arn`: empty where its type has none."""

    id: str
    arn: str


@dataclass(frozen=True)
class Kind:
    """A type that the simulation knows.

    Attributes:
        id: pattern of its ids.
        arn: pattern of its ARNs, without `arn:<partition>:`; empty where it has none.
        name: the property with its name, which the provider makes up where the program doesn't give one.
        prefix: the property with which the program gives only a beginning; both empty where there is none.
    """

    id: str
    arn: str
    name: str
    prefix: str


@cache
def kinds() -> dict[str, Kind]:
    """Every type that the simulation knows, by its token."""
    return {row["type"]: Kind(row["id"], row["arn"], row["name"], row["prefix"]) for row in data.rows("aws_identities")}


def named(resource: Resource, old: Properties | None, new: Properties, generation: int = 0) -> Properties:
    """The inputs with a name: the program's, else the one of before, else one that the provider makes up.

    Source: pulumi/pulumi-terraform-bridge, `pkg/tfbridge/names.go` (seven random digits); a prefix is filled up with
    26 by terraform-plugin-sdk, `helper/id/id.go`.
    """
    kind = kinds().get(resource.type)
    if kind is None or not kind.name or reveal(new.get(kind.name)) is not None:
        return new
    prefix = text(new, kind.prefix) if kind.prefix else ""
    # A successor is made while its predecessor still has its name.
    chance = digest(resource.urn + "'" * generation)
    if kind.prefix and new.get(kind.prefix) is not None:
        made = f"{prefix}{chance[:_PREFIXED_HEX]}"
    else:
        made = f"{resource.name}-{chance[:_NAME_HEX]}"
    before = text(old or {}, kind.name)
    is_ours = old is not None and DEFAULTS in old and (not kind.prefix or old.get(kind.prefix) == new.get(kind.prefix))
    return {**new, kind.name: before if is_ours and before else made, DEFAULTS: [kind.name]}


def has_own_name(type_: str, inputs: Properties) -> bool:
    """Whether the program itself has named the resource, so that there can't be a second one beside it."""
    kind = kinds().get(type_)
    return bool(kind and kind.name and DEFAULTS not in inputs and inputs.get(kind.name) is not None)


def identity(resource: Resource, generation: int, inputs: Properties, place: Place) -> Identity:
    """What a resource is known by. The same URN and generation have the same id in every rehearsal."""
    seed = digest(f"{resource.urn}#{generation}")
    kind = kinds().get(resource.type)
    if kind is None:
        return Identity(f"{resource.name}-{seed[:8]}", "")
    words = _words(seed, inputs, place)
    if kind.id != "{arn}":
        words["id"] = _filled(kind.id, words)
    arn = f"arn:{place.partition}:{_filled(kind.arn, words)}" if kind.arn else ""
    return Identity(_filled(kind.id, {**words, "arn": arn}), arn)


def text(inputs: Properties, key: str) -> str:
    """A text among the inputs; empty where it is none, or unknown."""
    value = reveal(inputs.get(key))
    return value if isinstance(value, str) else ""


def _words(seed: str, inputs: Properties, place: Place) -> dict[str, str]:
    tag = reveal(inputs.get("tag"))
    return {
        **{key: str(value) for key, item in inputs.items() if _is_plain(value := reveal(item))},
        "region": place.region,
        "account": ACCOUNT,
        "domain": place.domain,
        "path": text(inputs, "path") or "/",
        "hex17": f"0{seed[:16]}",
        "number": str(int(seed[:8], 16)),
        "uuid": str(uuid.UUID(hex=seed[:32])),
        "bareName": text(inputs, "name").lstrip("/"),
        "host": text(inputs, "url").removeprefix("https://"),
        "tagKey": text(tag, "key") if isinstance(tag, dict) else "",
    }


def _is_plain(value: Value) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _filled(pattern: str, words: dict[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda found: words.get(found[1], ""), pattern)
