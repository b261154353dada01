"""What the simulation knows of AWS's resource types: rows of `data/aws_simulated_*.csv`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from gpu_clusters import data
from gpu_clusters.rehearsal.providers.aws.models import Shape, operation_input


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceType:
    """A resource type that the simulation knows.

    Attributes:
        token: e.g. `aws:ec2/vpc:Vpc`.
        service, operation: botocore's, by which it is made.
        data: the member of the operation's input that most properties are in; empty for the input itself.
        id, arn: forms of what AWS answers; `arn` is empty where it has none.
        name, prefix: the properties of its name and of a name's beginning; empty where it has none.
        replaced_by: the property paths of which a change makes a new resource.
    """

    token: str
    service: str
    operation: str
    data: str
    id: str
    arn: str
    name: str
    prefix: str
    replaced_by: frozenset[str]

    def shapes(self) -> tuple[Shape, ...]:
        """Where its properties may be found, best first."""
        whole = operation_input(self.service, self.operation)
        if not self.data:
            return (whole,)
        inner = whole.member(self.data)
        return (inner.item if inner.kind == "list" else inner, whole)


@dataclass(frozen=True, slots=True)
class Property:
    """An input property of the SDK's. `kind`: `str`, `int`, `float`, `bool`, `list`, `map`, `object`."""

    kind: str
    is_required: bool


@dataclass(frozen=True, slots=True)
class Reference:
    """A property that names something else. `form`: how ids begin, `arn:<service>:<kind>`, or `name`."""

    form: str
    type: str


def resource_type(token: str) -> ResourceType | None:
    """The type of a token; None if the simulation doesn't know it."""
    return _types().get(token)


def properties(token: str) -> Mapping[str, Property]:
    """The inputs of a type by path: `networkInterfaces[].deviceIndex`."""
    return _properties().get(token, {})


def alias(token: str, path: str) -> tuple[str, ...]:
    """Where AWS keeps a property that it calls by another name; empty where the names are the same."""
    return _aliases().get((token, path), ())


def reference(property_name: str) -> Reference | None:
    """What a property of that name refers to; None for all others."""
    return _references().get(property_name)


@cache
def _types() -> dict[str, ResourceType]:
    return {
        row["type"]: ResourceType(
            token=row["type"],
            service=row["service"],
            operation=row["operation"],
            data=row["data"],
            id=row["id"],
            arn=row["arn"],
            name=row["name"],
            prefix=row["prefix"],
            replaced_by=frozenset(row["replaced_by"].split()),
        )
        for row in data.rows("aws_simulated_types")
    }


@cache
def _properties() -> dict[str, dict[str, Property]]:
    found: dict[str, dict[str, Property]] = {}
    for row in data.rows("aws_simulated_properties"):
        found.setdefault(row["type"], {})[row["property"]] = Property(row["kind"], row["required"] == "yes")
    return found


@cache
def _aliases() -> dict[tuple[str, str], tuple[str, ...]]:
    rows = data.rows("aws_simulated_aliases")
    return {(row["type"], row["property"]): tuple(row["member"].split(".")) for row in rows}


@cache
def _references() -> dict[str, Reference]:
    rows = data.rows("aws_simulated_references")
    return {row["property"]: Reference(row["form"], row["type"]) for row in rows}
