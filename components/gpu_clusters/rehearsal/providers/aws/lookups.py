"""What programs look up at AWS: the few answers that can be made up, and a refusal by name of all others."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Final

from gpu_clusters.errors import OperationError
from gpu_clusters.rehearsal.providers.aws.identities import text
from gpu_clusters.rehearsal.providers.aws.made import MadeHere
from gpu_clusters.rehearsal.providers.aws.outputs_eks import texts
from gpu_clusters.rehearsal.providers.aws.places import ACCOUNT, Place
from gpu_clusters.rehearsal.providers.plausible import digest
from gpu_clusters.rehearsal.providers.values import Properties, Value

_VERSION: Final = "2012-10-17"
#: Parameters that AWS publishes image ids in (EKS user guide, "Retrieve recommended Amazon Linux AMI IDs").
_IMAGES: Final = (
    "/aws/service/eks/optimized-ami/",
    "/aws/service/bottlerocket/",
    "/aws/service/ami-amazon-linux-latest/",
)
_RELEASE: Final = ("/release_version", "/image_version")


def answer(token: str, arguments: Properties, place: Place, made: MadeHere) -> Properties:
    """The answer to a lookup.

    Args:
        token: such as `aws:index/getRegion:getRegion`.

    Raises:
        OperationError: only the real AWS knows.
    """
    name = token.rpartition(":")[2]
    known = _ANSWERS.get(token)
    found = known(arguments, place, made) if known else None
    if found is None:
        raise OperationError(
            f"a rehearsal can't answer {token}: it asks the real AWS",
            f"pass what {name} would find as a configuration value of the stack, or make it in the stack",
        )
    return found


def _zones(arguments: Properties, place: Place, made: MadeHere) -> Properties:  # noqa: ARG001
    excluded = {*texts(arguments.get("excludeZoneIds")), *texts(arguments.get("excludeNames"))}
    found = {zone: name for zone, name in place.zones().items() if not {zone, name} & excluded}
    return {
        **arguments,
        "id": place.region,
        "region": place.region,
        "groupNames": [place.region],
        "names": list(found.values()),
        "zoneIds": list(found),
    }


def _identity(arguments: Properties, place: Place, made: MadeHere) -> Properties:  # noqa: ARG001
    arn = f"arn:{place.partition}:iam::{ACCOUNT}:user/rehearsal"
    return {"id": ACCOUNT, "accountId": ACCOUNT, "arn": arn, "userId": f"AIDA{digest(ACCOUNT)[:17].upper()}"}


def _region(arguments: Properties, place: Place, made: MadeHere) -> Properties:  # noqa: ARG001
    name = text(arguments, "name") or place.region
    return {
        "id": name,
        "name": name,
        "region": name,
        "endpoint": f"ec2.{name}.{place.domain}",
        "description": name,
    }


def _partition(arguments: Properties, place: Place, made: MadeHere) -> Properties:  # noqa: ARG001
    reverse = ".".join(reversed(place.domain.split(".")))
    return {
        "id": place.partition,
        "partition": place.partition,
        "dnsSuffix": place.domain,
        "reverseDnsPrefix": reverse,
    }


def _service_principal(arguments: Properties, place: Place, made: MadeHere) -> Properties:  # noqa: ARG001
    service = text(arguments, "serviceName")
    return {
        "id": f"{service}.{place.region}.amazonaws.com",
        "name": f"{service}.amazonaws.com",
        "suffix": "amazonaws.com",
        "serviceName": service,
        "region": place.region,
    }


def _parameter(arguments: Properties, place: Place, made: MadeHere) -> Properties | None:
    """A public parameter with an image, or one that the stack itself has made."""
    name = text(arguments, "name")
    own = next((one for one in made.of("aws:ssm/parameter:Parameter") if one.id == name), None)
    if own is None and not name.startswith(_IMAGES):
        return None
    value = text(own.outputs, "value") if own else _published(name)
    return {
        **arguments,
        "id": name,
        "arn": f"arn:{place.partition}:ssm:{place.region}::parameter{name}",
        "name": name,
        "type": "String",
        "value": value,
        "insecureValue": value,
        "version": 1,
        "region": place.region,
    }


def _published(name: str) -> str:
    if name.endswith(_RELEASE):
        return "0.0.0-00000000"
    image = f"ami-0{digest(name)[:16]}"
    return json.dumps({"image_id": image}) if name.endswith("/recommended") else image


def _image(arguments: Properties, place: Place, made: MadeHere) -> Properties:  # noqa: ARG001
    """An image that matches whatever was asked for."""
    image = f"ami-0{digest(json.dumps(arguments, sort_keys=True, default=str))[:16]}"
    return {
        **arguments,
        "id": image,
        "imageId": image,
        "arn": f"arn:{place.partition}:ec2:{place.region}::image/{image}",
        "architecture": "x86_64",
        "name": f"simulated-{image}",
        "ownerId": ACCOUNT,
        "rootDeviceName": "/dev/xvda",
        "rootDeviceType": "ebs",
        "virtualizationType": "hvm",
        "state": "available",
        "region": place.region,
    }


def _cluster(arguments: Properties, place: Place, made: MadeHere) -> Properties | None:  # noqa: ARG001
    """A cluster of this stack."""
    wanted = text(arguments, "name")
    found = next((one for one in made.of("aws:eks/cluster:Cluster") if one.id == wanted), None)
    if found is None:
        return None
    authority = found.outputs.get("certificateAuthority")
    return {**found.outputs, "id": found.id, "certificateAuthorities": [authority]}


def _cluster_token(arguments: Properties, place: Place, made: MadeHere) -> Properties:  # noqa: ARG001
    # Nobody looks at it: in a rehearsal the kubeconfig only names the server.
    return {"id": text(arguments, "name"), "name": text(arguments, "name"), "token": "k8s-aws-v1.simulated"}


def _policy_document(arguments: Properties, place: Place, made: MadeHere) -> Properties:  # noqa: ARG001
    """The JSON of a policy document, as terraform-provider-aws renders it.

    Source: hashicorp/terraform-provider-aws, internal/service/iam/policy_document_data_source.go and policy_model.go.
    """
    document: dict[str, Value] = {"Version": text(arguments, "version") or _VERSION}
    if text(arguments, "policyId"):
        document["Id"] = text(arguments, "policyId")
    statements = _statements([*texts(arguments.get("sourcePolicyDocuments")), text(arguments, "sourceJson")])
    said = arguments.get("statements")
    statements += [_statement(item) for item in (said if isinstance(said, list) else []) if isinstance(item, dict)]
    overriding = _statements([*texts(arguments.get("overridePolicyDocuments")), text(arguments, "overrideJson")])
    for item in overriding:
        own = item.get("Sid")
        statements = [one for one in statements if not own or one.get("Sid") != own] + [item]
    document["Statement"] = list(statements)
    return {
        **arguments,
        "id": str(int(digest(json.dumps(document))[:8], 16)),
        "json": json.dumps(document, indent=2),
        "minifiedJson": json.dumps(document, separators=(",", ":")),
    }


def _statements(documents: list[str]) -> list[dict[str, Value]]:
    found: list[dict[str, Value]] = []
    for content in filter(None, documents):
        try:
            parsed: Value = json.loads(content)
        except ValueError as error:
            raise OperationError(
                f"getPolicyDocument was given a document that isn't JSON: {error}", "give it the JSON of a policy"
            ) from error
        inner = parsed.get("Statement") if isinstance(parsed, dict) else None
        found += [item for item in (inner if isinstance(inner, list) else [inner]) if isinstance(item, dict)]
    return found


def _statement(said: dict[str, Value]) -> dict[str, Value]:
    result: dict[str, Value] = {}
    if text(said, "sid"):
        result["Sid"] = text(said, "sid")
    result["Effect"] = text(said, "effect") or "Allow"
    for key in ("actions", "notActions", "resources", "notResources"):
        values = sorted(texts(said.get(key)), reverse=True)
        if values:
            result[key[0].upper() + key[1:-1]] = values[0] if len(values) == 1 else list[Value](values)
    for key in ("principals", "notPrincipals"):
        found = _principals(said.get(key))
        if found:
            result[key[0].upper() + key[1:-1]] = found
    conditions = _conditions(said.get("conditions"))
    return {**result, **({"Condition": conditions} if conditions else {})}


def _principals(said: Value) -> Value:
    merged: dict[str, list[str]] = {}
    for item in (one for one in (said if isinstance(said, list) else []) if isinstance(one, dict)):
        merged.setdefault(text(item, "type"), []).extend(texts(item.get("identifiers")))
    if merged == {"*": ["*"]}:
        return "*"
    return {kind: names[0] if len(names) == 1 else list[Value](names) for kind, names in merged.items()}


def _conditions(said: Value) -> dict[str, Value]:
    merged: dict[str, dict[str, Value]] = {}
    for item in (one for one in (said if isinstance(said, list) else []) if isinstance(one, dict)):
        values = texts(item.get("values"))
        own = merged.setdefault(text(item, "test"), {})
        own[text(item, "variable")] = values[0] if len(values) == 1 else list[Value](values)
    return {test: dict(variables) for test, variables in merged.items()}


_ANSWERS: Final[Mapping[str, Callable[[Properties, Place, MadeHere], Properties | None]]] = {
    "aws:index/getAvailabilityZones:getAvailabilityZones": _zones,
    "aws:index/getCallerIdentity:getCallerIdentity": _identity,
    "aws:index/getRegion:getRegion": _region,
    "aws:index/getPartition:getPartition": _partition,
    "aws:index/getServicePrincipal:getServicePrincipal": _service_principal,
    "aws:ssm/getParameter:getParameter": _parameter,
    "aws:ec2/getAmi:getAmi": _image,
    "aws:eks/getCluster:getCluster": _cluster,
    "aws:eks/getClusterAuth:getClusterAuth": _cluster_token,
    "aws:iam/getPolicyDocument:getPolicyDocument": _policy_document,
}
