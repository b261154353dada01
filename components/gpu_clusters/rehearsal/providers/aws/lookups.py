"""Lookups that ordinary programs make, answered by the simulation; all others are refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from gpu_clusters.errors import OperationError
from gpu_clusters.rehearsal.providers.aws.account import Account, Thing, digits
from gpu_clusters.rehearsal.providers.aws.reading import at, flag, items, objects, text, texts
from gpu_clusters.rehearsal.providers.aws.references import CLUSTER, SUBNET, VPC
from gpu_clusters.rehearsal.providers.aws.regions import ACCOUNT, domain, partition, zone_ids, zone_name
from gpu_clusters.rehearsal.providers.values import Properties, Value
from gpu_clusters.rehearsal.world import Journal

_Lookup = Callable[["Lookups", Properties], Properties]


class Lookups:
    """Answers for one region."""

    def __init__(self, account: Account, region: str, journal: Journal) -> None:
        self.account, self.region, self._journal = account, region, journal

    def answer(self, token: str, arguments: Properties) -> Properties:
        """The answer to a lookup.

        Raises:
            OperationError: the simulation has none.
        """
        lookup = _LOOKUPS.get(token)
        if lookup is None:
            raise OperationError(
                f"a rehearsal can't answer {token}: it asks the real AWS",
                "pass what it looks up as an argument or a configuration value of the stack",
            )
        self._journal.answered(token)
        return {**arguments, **lookup(self, arguments)}

    def made(self, token: str, identity: str, what: str) -> Thing:
        """What this stack has made.

        Raises:
            OperationError: it hasn't.
        """
        found = self.account.get(token, self.region, identity) or self.account.named(token, self.region, identity)
        if found is None:
            raise OperationError(
                f"a rehearsal can't look up {what} {identity!r}: this stack hasn't made it",
                "pass what is needed of it as an argument or a configuration value of the stack",
            )
        return found


def _zones(lookups: Lookups, arguments: Properties) -> Properties:  # noqa: ARG001 - as the others
    ids = zone_ids(lookups.region)
    names = [zone_name(lookups.region, zone) for zone in ids]
    return {"id": lookups.region, "names": [*names], "zoneIds": [*ids], "groupNames": [lookups.region]}


def _zone(lookups: Lookups, arguments: Properties) -> Properties:
    ids = zone_ids(lookups.region)
    by_name = {zone_name(lookups.region, zone): zone for zone in ids}
    wanted = text(arguments, "zoneId") or by_name.get(text(arguments, "name"), ids[0])
    name = zone_name(lookups.region, wanted)
    more: Properties = {"state": "available", "zoneType": "availability-zone", "optInStatus": "opt-in-not-required"}
    return {"id": name, "name": name, "zoneId": wanted, "nameSuffix": name[-1:], "groupName": lookups.region, **more}


def _identity(lookups: Lookups, arguments: Properties) -> Properties:  # noqa: ARG001 - as the others
    arn = f"arn:{partition(lookups.region)}:iam::{ACCOUNT}:user/simulated"
    return {"id": ACCOUNT, "accountId": ACCOUNT, "arn": arn, "userId": "AIDASIMULATED"}


def _session(lookups: Lookups, arguments: Properties) -> Properties:  # noqa: ARG001 - as the others
    arn = text(arguments, "arn")
    return {"id": arn, "issuerArn": arn, "issuerId": "", "issuerName": arn.rpartition("/")[2], "sessionName": ""}


def _region(lookups: Lookups, arguments: Properties) -> Properties:
    region = text(arguments, "name") or text(arguments, "region") or lookups.region
    ends: Properties = {"description": region, "endpoint": f"ec2.{region}.{domain(region)}"}
    return {"id": region, "name": region, "region": region, **ends}


def _partition(lookups: Lookups, arguments: Properties) -> Properties:  # noqa: ARG001 - as the others
    name, suffix = partition(lookups.region), domain(lookups.region)
    reverse = ".".join(reversed(suffix.split(".")))
    return {"id": name, "partition": name, "dnsSuffix": suffix, "reverseDnsPrefix": reverse}


def _parameter(lookups: Lookups, arguments: Properties) -> Properties:
    name = text(arguments, "name")
    found = lookups.account.named("aws:ssm/parameter:Parameter", lookups.region, name)
    if found is not None:
        return {**found.outputs, "id": name}
    if not name.startswith("/aws/service/"):
        raise OperationError(
            f"a rehearsal can't look up the parameter {name!r}: this stack hasn't made it",
            "pass its value as a configuration value of the stack",
        )
    last = name.rpartition("/")[2]
    value = "simulated" if last == "release_version" else _image_id(name)
    arn = f"arn:{partition(lookups.region)}:ssm:{lookups.region}::parameter{name}"
    return {"id": name, "arn": arn, "type": "String", "value": value, "insecureValue": value, "version": 1}


def _image(lookups: Lookups, arguments: Properties) -> Properties:  # noqa: ARG001 - as the others
    seed = json.dumps(_plain(arguments), sort_keys=True)
    identity = _image_id(seed)
    filters = {text(item, "name"): texts(item, "values") for item in objects(arguments, "filters")}
    architecture = (filters.get("architecture") or ["x86_64"])[0]
    name = (filters.get("name") or ["simulated"])[0].replace("*", "simulated")
    more: Properties = {"rootDeviceName": "/dev/xvda", "virtualizationType": "hvm", "state": "available"}
    return {"id": identity, "imageId": identity, "architecture": architecture, "name": name, **more}


def _policy_document(lookups: Lookups, arguments: Properties) -> Properties:  # noqa: ARG001 - as the others
    sources = [*texts(arguments, "sourcePolicyDocuments"), *texts(arguments, "overridePolicyDocuments")]
    inherited: list[object] = []
    for source in sources:
        found: object = json.loads(source).get("Statement") or []
        inherited += found if isinstance(found, list) else [found]
    statements = [*inherited, *(_statement(item) for item in objects(arguments, "statements"))]
    document: dict[str, object] = {"Version": text(arguments, "version") or "2012-10-17"}
    if text(arguments, "policyId"):
        document["Id"] = text(arguments, "policyId")
    document["Statement"] = statements
    rendered, short = json.dumps(document, indent=2), json.dumps(document, separators=(",", ":"))
    return {"id": digits(short, 10), "json": rendered, "minifiedJson": short}


def _statement(item: Properties) -> dict[str, object]:
    found: dict[str, object] = {"Sid": text(item, "sid")} if text(item, "sid") else {}
    found["Effect"] = text(item, "effect") or "Allow"
    for key in ("actions", "notActions", "resources", "notResources"):
        if texts(item, key):
            found[f"{key[0].upper()}{key[1:-1]}"] = _alone(texts(item, key))
    for key, name in (("principals", "Principal"), ("notPrincipals", "NotPrincipal")):
        who = {text(each, "type"): _alone(texts(each, "identifiers")) for each in objects(item, key)}
        if who:
            found[name] = "*" if who == {"*": "*"} else who
    conditions: dict[str, dict[str, object]] = {}
    for each in objects(item, "conditions"):
        conditions.setdefault(text(each, "test"), {})[text(each, "variable")] = _alone(texts(each, "values"))
    return {**found, **({"Condition": conditions} if conditions else {})}


def _alone(values: Sequence[str]) -> object:
    return values[0] if len(values) == 1 else sorted(values)


def _vpc(lookups: Lookups, arguments: Properties) -> Properties:
    if flag(arguments, "default"):
        raise OperationError("a rehearsal has no default VPC", "make a VPC, or pass the ids of an existing one")
    return lookups.made(VPC, text(arguments, "id"), "the VPC").outputs


def _subnet(lookups: Lookups, arguments: Properties) -> Properties:
    return lookups.made(SUBNET, text(arguments, "id"), "the subnet").outputs


def _subnets(lookups: Lookups, arguments: Properties) -> Properties:
    wanted = [
        vpc for item in objects(arguments, "filters") if text(item, "name") == "vpc-id" for vpc in texts(item, "values")
    ]
    if not wanted or not all(lookups.account.get(VPC, lookups.region, vpc) for vpc in wanted):
        raise OperationError(
            "a rehearsal can only look up subnets by the id of a VPC that this stack has made",
            "pass their ids as a configuration value of the stack",
        )
    subnets = lookups.account.all(SUBNET, lookups.region)
    ids: list[Value] = [one.id for one in subnets if text(one.outputs, "vpcId") in wanted]
    return {"id": lookups.region, "ids": ids}


def _cluster(lookups: Lookups, arguments: Properties) -> Properties:
    found = lookups.made(CLUSTER, text(arguments, "name"), "the cluster").outputs
    lists: Properties = {
        plural: [found[one]] if one in found else []
        for one, plural in (
            ("certificateAuthority", "certificateAuthorities"),
            ("accessConfig", "accessConfigs"),
            ("kubernetesNetworkConfig", "kubernetesNetworkConfigs"),
            ("computeConfig", "computeConfigs"),
        )
    }
    return {**found, **lists}


def _cluster_auth(lookups: Lookups, arguments: Properties) -> Properties:
    name = text(arguments, "name")
    lookups.made(CLUSTER, name, "the cluster")
    return {"id": name, "name": name, "token": "k8s-aws-v1.simulated"}


def _role(lookups: Lookups, arguments: Properties) -> Properties:
    return lookups.made("aws:iam/role:Role", text(arguments, "name"), "the role").outputs


def _default_tags(lookups: Lookups, arguments: Properties) -> Properties:  # noqa: ARG001 - as the others
    return {"id": partition(lookups.region), "tags": {}}


def _service(lookups: Lookups, arguments: Properties) -> Properties:
    name = text(arguments, "serviceName")
    return {"id": name, "name": f"{name}.{domain(lookups.region)}", "suffix": domain(lookups.region)}


def _addon_version(lookups: Lookups, arguments: Properties) -> Properties:  # noqa: ARG001 - as the others
    return {"id": text(arguments, "addonName"), "version": "simulated"}


def _image_id(seed: str) -> str:
    return f"ami-{digits(seed, 17)}"


def _plain(value: Value) -> object:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in items(value)] if isinstance(value, list) else str(at(value))


_LOOKUPS: Final[Mapping[str, _Lookup]] = {
    "aws:index/getAvailabilityZones:getAvailabilityZones": _zones,
    "aws:index/getAvailabilityZone:getAvailabilityZone": _zone,
    "aws:index/getCallerIdentity:getCallerIdentity": _identity,
    "aws:index/getRegion:getRegion": _region,
    "aws:index/getPartition:getPartition": _partition,
    "aws:index/getDefaultTags:getDefaultTags": _default_tags,
    "aws:index/getServicePrincipal:getServicePrincipal": _service,
    "aws:iam/getSessionContext:getSessionContext": _session,
    "aws:iam/getPolicyDocument:getPolicyDocument": _policy_document,
    "aws:iam/getRole:getRole": _role,
    "aws:ssm/getParameter:getParameter": _parameter,
    "aws:ec2/getAmi:getAmi": _image,
    "aws:ec2/getVpc:getVpc": _vpc,
    "aws:ec2/getSubnet:getSubnet": _subnet,
    "aws:ec2/getSubnets:getSubnets": _subnets,
    "aws:eks/getCluster:getCluster": _cluster,
    "aws:eks/getClusterAuth:getClusterAuth": _cluster_auth,
    "aws:eks/getAddonVersion:getAddonVersion": _addon_version,
}
