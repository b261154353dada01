"""What AWS fills in: IAM, keys, queues, logs, storage."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Final

from gpu_clusters.rehearsal.providers.aws.identities import text
from gpu_clusters.rehearsal.providers.aws.making import CREATED, Making
from gpu_clusters.rehearsal.providers.aws.places import ACCOUNT
from gpu_clusters.rehearsal.providers.values import Properties


def _role(making: Making) -> Properties:
    return {
        "path": "/",
        "maxSessionDuration": 3600,
        "forceDetachPolicies": False,
        "createDate": CREATED,
        "uniqueId": _unique("AROA", making.seed),
        "managedPolicyArns": [],
    }


def _policy(making: Making) -> Properties:
    return {"path": "/", "policyId": _unique("ANPA", making.seed), "attachmentCount": 0}


def _instance_profile(making: Making) -> Properties:
    return {"path": "/", "createDate": CREATED, "uniqueId": _unique("AIPA", making.seed)}


def _unique(prefix: str, seed: str) -> str:
    """A unique id of IAM's: base 32, 21 characters."""
    return prefix + base64.b32encode(bytes.fromhex(seed[:22])).decode()[:17]


def _key(making: Making) -> Properties:
    return {
        "keyId": making.identity.id,
        "keyUsage": "ENCRYPT_DECRYPT",
        "customerMasterKeySpec": "SYMMETRIC_DEFAULT",
        "enableKeyRotation": False,
        "isEnabled": True,
        "multiRegion": False,
    }


def _alias(making: Making) -> Properties:
    target = making.made.find(text(making.inputs, "targetKeyId"))
    return {"targetKeyArn": text(target.outputs, "arn") if target else ""}


def _queue(making: Making) -> Properties:
    return {
        "url": making.identity.id,
        "delaySeconds": 0,
        "fifoQueue": False,
        "kmsDataKeyReusePeriodSeconds": 300,
        "maxMessageSize": 262144,
        "messageRetentionSeconds": 345600,
        "receiveWaitTimeSeconds": 0,
        "sqsManagedSseEnabled": True,
        "visibilityTimeoutSeconds": 30,
    }


def _log_group(making: Making) -> Properties:  # noqa: ARG001 - as the others
    return {"logGroupClass": "STANDARD", "retentionInDays": 0, "skipDestroy": False}


def _event_rule(making: Making) -> Properties:  # noqa: ARG001 - as the others
    return {"eventBusName": "default", "state": "ENABLED"}


def _event_target(making: Making) -> Properties:  # noqa: ARG001 - as the others
    return {"eventBusName": "default"}


def _bucket(making: Making) -> Properties:
    name = making.identity.id
    return {
        "bucketDomainName": f"{name}.s3.{making.place.domain}",
        "bucketRegionalDomainName": f"{name}.s3.{making.place.region}.{making.place.domain}",
        "bucketRegion": making.place.region,
    }


def _file_system(making: Making) -> Properties:
    return {
        "creationToken": making.seed[:26],
        "dnsName": f"{making.identity.id}.efs.{making.place.region}.{making.place.domain}",
        "encrypted": False,
        "performanceMode": "generalPurpose",
        "throughputMode": "bursting",
        "ownerId": ACCOUNT,
    }


def _mount_target(making: Making) -> Properties:
    subnet = making.made.find(text(making.inputs, "subnetId"))
    host = f"{text(making.inputs, 'fileSystemId')}.efs.{making.place.region}.{making.place.domain}"
    zone = text(subnet.outputs, "availabilityZone") if subnet else ""
    return {
        "ipAddress": making.address(10),
        "dnsName": host,
        "mountTargetDnsName": f"{zone}.{host}",
        "availabilityZoneName": zone,
        "networkInterfaceId": making.id_of("eni", "mount"),
        "ownerId": ACCOUNT,
    }


def _lustre(making: Making) -> Properties:
    return {
        "dnsName": f"{making.identity.id}.fsx.{making.place.region}.{making.place.domain}",
        "mountName": making.seed[:8],
        "networkInterfaceIds": [making.id_of("eni", "lustre")],
        "ownerId": ACCOUNT,
    }


def _parameter(making: Making) -> Properties:  # noqa: ARG001 - as the others
    return {"version": 1, "tier": "Standard", "dataType": "text"}


def _repository(making: Making) -> Properties:
    registry = f"{ACCOUNT}.dkr.ecr.{making.place.region}.{making.place.domain}"
    return {"registryId": ACCOUNT, "repositoryUrl": f"{registry}/{making.identity.id}"}


#: By type token.
SERVICES: Final[Mapping[str, Callable[[Making], Properties]]] = {
    "aws:iam/role:Role": _role,
    "aws:iam/policy:Policy": _policy,
    "aws:iam/instanceProfile:InstanceProfile": _instance_profile,
    "aws:kms/key:Key": _key,
    "aws:kms/alias:Alias": _alias,
    "aws:sqs/queue:Queue": _queue,
    "aws:cloudwatch/logGroup:LogGroup": _log_group,
    "aws:cloudwatch/eventRule:EventRule": _event_rule,
    "aws:cloudwatch/eventTarget:EventTarget": _event_target,
    "aws:s3/bucket:Bucket": _bucket,
    "aws:s3/bucketV2:BucketV2": _bucket,
    "aws:efs/fileSystem:FileSystem": _file_system,
    "aws:efs/mountTarget:MountTarget": _mount_target,
    "aws:fsx/lustreFileSystem:LustreFileSystem": _lustre,
    "aws:ssm/parameter:Parameter": _parameter,
    "aws:ecr/repository:Repository": _repository,
}
