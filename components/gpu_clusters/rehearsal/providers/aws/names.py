"""How Pulumi's names of types and properties go with those of AWS's API.

Most differ in case or number alone (`subnetIds`, `SubnetId`); the others are rows of `data/aws_api_names.csv`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from gpu_clusters import data
from gpu_clusters.rehearsal.providers.aws.shapes import Shape, request


@dataclass(frozen=True)
class Operation:
    """What creates a resource: a row of `data/aws_api_operations.csv`.

    Attributes:
        roots: where its inputs may stand in AWS's requests, best first.
        required: the inputs that a program must give.
    """

    roots: tuple[Shape, ...]
    required: tuple[str, ...]


@dataclass(frozen=True)
class Own:
    """A property that no request of AWS's has under any name: the provider's own, or of a call that isn't modelled.

    Attributes:
        value: `boolean`, `number`, `string`, `list`, `map`, `object`, or `policy` for a JSON document of permissions.
    """

    value: str


def known_kinds() -> Sequence[str]:
    """The types of resources that are checked, as Pulumi's tokens."""
    return tuple(row["type"] for row in data.rows("aws_api_operations"))


@cache
def operation(kind: str) -> Operation | None:
    """What creates a resource of a type; None for one that the tables don't know."""
    for row in data.rows("aws_api_operations"):
        if row["type"] == kind:
            roots = tuple(request(row["service"], name) for name in row["operations"].split())
            return Operation(roots, tuple(row["required"].split()))
    return None


@cache
def target(kind: str, parent: str, key: str, among: tuple[Shape, ...]) -> Shape | Own | None:
    """What a property is in the API; None where AWS knows none of that name.

    Args:
        parent: the path of the object that it stands in, without indexes; empty at the top.
        among: the structures that the object is in the API, best first.
    """
    row = _row(kind, f"{parent}.{key}" if parent else key)
    if row is None:
        # The API's names have no underscores, nor does Pulumi spell any with them.
        return None if "_" in key else _member(among, key)
    if not row["api"]:
        return Own(row["value"])
    found: Shape | None = None
    for step in row["api"].split("."):
        found = _member(among, step)
        if found is None:
            return None
        among = (found,)
    return found


@cache
def property_name(kind: str, parent: str, member: str) -> str:
    """How Pulumi spells a member of the API, for a message."""
    for row in data.rows("aws_api_names"):
        start, _, last = row["property"].rpartition(".")
        if (row["type"], start, row["api"]) == (kind, parent, member):
            return last
    return _camel(member)


def property_names(kind: str, parent: str, among: Sequence[Shape]) -> Sequence[str]:
    """The properties that an object may have, as Pulumi spells them, for a remedy."""
    listed = [row["property"] for row in data.rows("aws_api_names") if row["type"] in (kind, "*")]
    own = [name.rpartition(".")[2] for name in listed if name.rpartition(".")[0] == parent]
    members = [property_name(kind, parent, member) for shape in among for member in shape.bare.members]
    return tuple(dict.fromkeys([*own, *members]))


@cache
def _rows() -> dict[tuple[str, str], data.Row]:
    return {(row["type"], row["property"]): row for row in data.rows("aws_api_names")}


def _row(kind: str, path: str) -> data.Row | None:
    return _rows().get((kind, path)) or _rows().get(("*", path))


def _member(among: Sequence[Shape], key: str) -> Shape | None:
    for shape in among:
        bare = shape.bare
        members = {name.lower(): name for name in bare.members}
        for form in _forms(key.lower()):
            if form in members:
                return bare.member(members[form])
    return None


def _forms(name: str) -> Iterator[str]:
    """The name, and its singular or plural: Pulumi has plurals for lists, EC2's API mostly singulars."""
    yield name
    yield name + "s"
    for ending, singular in (("ies", "y"), ("es", ""), ("s", "")):
        if name.endswith(ending):
            yield name.removesuffix(ending) + singular


def _camel(member: str) -> str:
    return member[:1].lower() + member[1:]
