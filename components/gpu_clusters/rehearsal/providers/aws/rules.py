"""What AWS refuses though its models don't say so: networks, policies, counts."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias, cast

from gpu_clusters.rehearsal.providers.aws.catalogue import ResourceType
from gpu_clusters.rehearsal.providers.aws.reading import leaves, number, text
from gpu_clusters.rehearsal.providers.interface import CheckFailure
from gpu_clusters.rehearsal.providers.values import Properties, Value

Network: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"

_CIDRS: Final = frozenset(
    ("cidrBlock", "cidrBlocks", "ipv6CidrBlock", "ipv6CidrBlocks", "destinationCidrBlock", "destinationIpv6CidrBlock")
) | frozenset(("cidrIpv4", "cidrIpv6", "publicAccessCidrs", "serviceIpv4Cidr", "cidrs"))
_POLICIES: Final = ("policy", "assumeRolePolicy")
#: -1 stands for all of them there.
_MAY_BE_NEGATIVE: Final = frozenset(("fromPort", "toPort"))
#: EC2 user guide for VPC, "VPC CIDR blocks" and "Subnet sizing": between /16 and /28.
_WIDEST, _NARROWEST = 16, 28
_LAST_STEP: Final = re.compile(r"([A-Za-z0-9]+)(\[\d+\])?\Z")
_POLICY_VERSIONS: Final = ("2012-10-17", "2008-10-17")
_STATEMENT_KEYS: Final = frozenset(
    ("Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition")
)


def rule_failures(kind: ResourceType, inputs: Properties) -> Iterator[CheckFailure]:
    """What is wrong with the inputs by rules that need nothing but them."""
    for path, value in leaves(inputs):
        last = property_of(path)
        if last in _CIDRS and isinstance(value, str):
            yield from _cidr_failures(path, value)
        elif isinstance(value, int | float) and value < 0 and last not in _MAY_BE_NEGATIVE:
            yield CheckFailure(path, f"{value} is negative; use 0 or more")
    for name in _POLICIES:
        policy = text(inputs, name)
        if policy:
            yield from _policy_failures(name, policy, trusts=name == "assumeRolePolicy", kind=kind)
    if kind.name and kind.prefix and inputs.get(kind.name) and inputs.get(kind.prefix):
        yield CheckFailure(kind.prefix, f"`{kind.name}` is set too; leave one of them out")
    yield from _size_failures(kind, inputs)
    yield from _tag_failures(inputs)


def property_of(path: str) -> str:
    """`subnetIds` of `vpcConfig.subnetIds[0]`."""
    found = _LAST_STEP.search(path)
    return found[1] if found else path


def network(value: str) -> Network | None:
    """A CIDR block; None if it isn't one."""
    try:
        return ipaddress.ip_network(value)
    except ValueError:
        return None


def _cidr_failures(path: str, value: str) -> Iterator[CheckFailure]:
    try:
        ipaddress.ip_network(value)
    except ValueError as error:
        try:
            remedy = f"use {ipaddress.ip_network(value, strict=False)}"
        except ValueError:
            remedy = "write one like 10.0.0.0/16"
        yield CheckFailure(path, f"it isn't a CIDR block: {error}; {remedy}")


def _size_failures(kind: ResourceType, inputs: Properties) -> Iterator[CheckFailure]:
    block = network(text(inputs, "cidrBlock"))
    is_network = kind.token in ("aws:ec2/vpc:Vpc", "aws:ec2/subnet:Subnet")
    if is_network and block and block.version == 4 and not _WIDEST <= block.prefixlen <= _NARROWEST:
        yield CheckFailure("cidrBlock", f"AWS takes no /{block.prefixlen}; use a size from /16 to /28")
    if kind.operation == "CreateNodegroup":
        least, most = (number(inputs, "scalingConfig", key) for key in ("minSize", "maxSize"))
        wanted = number(inputs, "scalingConfig", "desiredSize")
        if least is not None and most is not None and most < max(1, least):
            yield CheckFailure("scalingConfig.maxSize", f"{most} is below {max(1, least)}; raise it")
        elif wanted is not None and least is not None and most is not None and not least <= wanted <= most:
            yield CheckFailure("scalingConfig.desiredSize", f"{wanted} isn't from {least} to {most}; move it there")


def _tag_failures(inputs: Properties) -> Iterator[CheckFailure]:
    tags = inputs.get("tags")
    for key, value in tags.items() if isinstance(tags, dict) else ():
        path = f'tags["{key}"]'
        if key.lower().startswith("aws:"):
            yield CheckFailure(path, "AWS keeps tags that begin with `aws:` to itself; use another key")
        # "Tag naming limits and requirements", AWS General Reference.
        elif len(key) > 128 or (isinstance(value, str) and len(value) > 256):
            yield CheckFailure(path, "a tag has at most 128 characters in its key and 256 in its value; shorten it")


def _policy_failures(path: str, policy: str, *, trusts: bool, kind: ResourceType) -> Iterator[CheckFailure]:
    try:
        document: object = json.loads(policy)
    except ValueError as error:
        yield CheckFailure(path, f"it isn't JSON: {error}; write it with json.dumps")
        return
    if not isinstance(document, dict):
        yield CheckFailure(path, "a policy is a JSON object with `Version` and `Statement`; write one")
        return
    fields = cast("Mapping[str, object]", document)
    if fields.get("Version") not in _POLICY_VERSIONS:
        yield CheckFailure(path, f"its Version is {fields.get('Version')!r}; use 2012-10-17")
    statements = fields.get("Statement")
    found = cast("list[object]", statements if isinstance(statements, list) else [statements] if statements else [])
    if not found:
        yield CheckFailure(path, "it has no Statement; add one")
    identity = kind.token in ("aws:iam/policy:Policy", "aws:iam/rolePolicy:RolePolicy")
    for index, statement in enumerate(found):
        for reason in _statement_problems(statement, trusts=trusts, identity=identity):
            yield CheckFailure(path, f"Statement[{index}] {reason}")


def _statement_problems(statement: object, *, trusts: bool, identity: bool) -> Iterator[str]:
    if not isinstance(statement, dict):
        yield "isn't an object; write one"
        return
    keys = set(cast("dict[str, object]", statement))
    effect = cast("dict[str, object]", statement).get("Effect")
    if effect not in ("Allow", "Deny"):
        yield f"has the Effect {effect!r}; use Allow or Deny"
    for unknown in sorted(keys - _STATEMENT_KEYS):
        yield f"has the unknown key {unknown}; remove it"
    if not keys & {"Action", "NotAction"}:
        yield "has no Action; add one"
    if trusts and not keys & {"Principal", "NotPrincipal"}:
        yield "has no Principal; say who may assume the role"
    if trusts and keys & {"Resource", "NotResource"}:
        yield "has a Resource, which a trust policy can't; remove it"
    if identity and not keys & {"Resource", "NotResource"}:
        yield "has no Resource; add one"
    if identity and keys & {"Principal", "NotPrincipal"}:
        yield "has a Principal, which an identity's policy can't; remove it"


def same_value(one: Value, other: Value) -> bool:
    """Whether two values mean the same to AWS: JSON by what it says."""
    if isinstance(one, str) and isinstance(other, str) and one[:1] == "{" == other[:1]:
        try:
            return json.loads(one) == json.loads(other)
        except ValueError:
            return False
    return one == other
