"""JSON documents of permissions, as IAM reads them.

Source: IAM user guide, "IAM JSON policy elements reference" and "IAM and AWS STS quotas".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Final, cast

from gpu_clusters.rehearsal.providers.aws.made import Made
from gpu_clusters.rehearsal.providers.aws.shapes import nearest
from gpu_clusters.rehearsal.providers.interface import CheckFailure
from gpu_clusters.rehearsal.providers.values import Properties, Value, has_unknown

_VERSIONS: Final = ("2012-10-17", "2008-10-17")
_TOP: Final = ("Version", "Id", "Statement")
_KEYS: Final = (
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
)
_ACTION: Final = re.compile(r"\*|[A-Za-z0-9-]+:[A-Za-z0-9*?]+")


class _Use(Enum):
    """What a document is for."""

    TRUST = "a trust policy"
    IDENTITY = "a policy of a role"
    RESOURCE = "a policy of a resource"


#: Where documents stand, what for, and their most characters without white space; 0 where the quota can be raised.
_DOCUMENTS: Final[Mapping[tuple[str, str], tuple[_Use, int]]] = {
    ("aws:iam/role:Role", "assumeRolePolicy"): (_Use.TRUST, 0),
    ("aws:iam/rolePolicy:RolePolicy", "policy"): (_Use.IDENTITY, 10_240),
    ("aws:iam/policy:Policy", "policy"): (_Use.IDENTITY, 6_144),
    ("aws:sqs/queuePolicy:QueuePolicy", "policy"): (_Use.RESOURCE, 0),
    ("aws:sqs/queue:Queue", "policy"): (_Use.RESOURCE, 0),
    ("aws:kms/key:Key", "policy"): (_Use.RESOURCE, 32_768),
    ("aws:s3/bucket:Bucket", "policy"): (_Use.RESOURCE, 20_480),
    ("aws:ec2/vpcEndpoint:VpcEndpoint", "policy"): (_Use.RESOURCE, 20_480),
}


def failures(kind: str, inputs: Properties, _made: Made) -> Iterator[CheckFailure]:
    """What IAM would refuse of a resource's documents."""
    for (of, name), (use, most) in _DOCUMENTS.items():
        if of == kind and inputs.get(name) is not None:
            yield from _document_failures(name, inputs[name], use, most)
    inline = inputs.get("inlinePolicies")
    if kind == "aws:iam/role:Role" and isinstance(inline, list):
        for index, item in enumerate(inline):
            if isinstance(item, dict) and item.get("policy") is not None:
                yield from _document_failures(f"inlinePolicies[{index}].policy", item["policy"], _Use.IDENTITY, 10_240)


def statements(document: Value) -> Sequence[Mapping[str, Value]]:
    """The statements of a document that is well-formed; none of one that isn't, or isn't known."""
    parsed = _parsed(document)
    if not isinstance(parsed, dict):
        return ()
    found = parsed.get("Statement")
    return [item for item in (found if isinstance(found, list) else [found]) if isinstance(item, dict)]


def texts(value: Value) -> Sequence[str]:
    """A value that may be one text or several."""
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, str)]


def _parsed(document: Value) -> Value:
    if not isinstance(document, str):
        return document
    try:
        return cast("Value", json.loads(document))
    except ValueError:
        return None


def _document_failures(name: str, value: Value, use: _Use, most: int) -> Iterator[CheckFailure]:
    if has_unknown(value):
        return
    try:
        document = cast("Value", json.loads(value)) if isinstance(value, str) else value
    except ValueError as error:
        yield CheckFailure(name, f"is not JSON: {error}; make it with json.dumps")
        return
    if not isinstance(document, dict):
        yield CheckFailure(name, "is not a JSON object; give Version and Statement")
        return
    for problem in (*_top_problems(document), *_statement_problems(document, use)):
        yield CheckFailure(name, problem)
    size = len(re.sub(r"\s", "", value if isinstance(value, str) else json.dumps(document)))
    if most and size > most:
        yield CheckFailure(name, f"has {size} characters, and IAM takes {most}; split it")


def _top_problems(document: Mapping[str, Value]) -> Iterator[str]:
    for key in document:
        if key not in _TOP:
            yield f"a policy has no {key!r}; use {nearest(key, _TOP)}"
    version = document.get("Version")
    if version not in _VERSIONS:
        yield f"its Version is {version!r}; use {_VERSIONS[0]!r}"


def _statement_problems(document: Mapping[str, Value], use: _Use) -> Iterator[str]:
    found = document.get("Statement")
    items = found if isinstance(found, list) else [found]
    if not found:
        yield "has no Statement; add one"
        return
    for index, item in enumerate(items):
        where = f"Statement[{index}]"
        if not isinstance(item, dict):
            yield f"{where} is not an object; give Effect and Action"
            continue
        for problem in (*_key_problems(item), *_use_problems(item, use)):
            yield f"{where} {problem}"


def _key_problems(item: Mapping[str, Value]) -> Iterator[str]:
    for key in item:
        if key not in _KEYS:
            yield f"has a key {key!r}, which IAM doesn't know; use {nearest(key, _KEYS)}"
    if item.get("Effect") not in ("Allow", "Deny"):
        yield f"has the Effect {item.get('Effect')!r}; use 'Allow' or 'Deny'"
    if ("Action" in item) == ("NotAction" in item):
        yield "needs Action or NotAction, and not both; give one"
    for action in (*texts(item.get("Action")), *texts(item.get("NotAction"))):
        if not _ACTION.fullmatch(action):
            yield f"has the action {action!r}; spell it service:Action, e.g. 'ec2:RunInstances'"


def _use_problems(item: Mapping[str, Value], use: _Use) -> Iterator[str]:
    has_principal = "Principal" in item or "NotPrincipal" in item
    has_resource = "Resource" in item or "NotResource" in item
    if use is _Use.IDENTITY and has_principal:
        yield f"has a Principal, which {use.value} can't have; the role is the principal: remove it"
    elif use is not _Use.IDENTITY and not has_principal:
        yield f"has no Principal, which {use.value} needs; say whom it is for"
    if use is _Use.TRUST and has_resource:
        yield f"has a Resource, which {use.value} can't have; the role is the resource: remove it"
    elif use is _Use.IDENTITY and not has_resource:
        yield f"has no Resource, which {use.value} needs; give ARNs, or '*'"
    for resource in texts(item.get("Resource")):
        if resource != "*" and not resource.startswith(("arn:", "*")):
            yield f"has the resource {resource!r}; give an ARN, or '*'"
