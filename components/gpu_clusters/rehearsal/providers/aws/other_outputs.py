"""What AWS's services other than EC2 answer beside what the program says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from gpu_clusters.rehearsal.providers.aws.account import digits
from gpu_clusters.rehearsal.providers.aws.making import CREATED, Answer, Making
from gpu_clusters.rehearsal.providers.aws.reading import at, number, text
from gpu_clusters.rehearsal.providers.aws.references import SUBNET
from gpu_clusters.rehearsal.providers.aws.regions import ACCOUNT, domain
from gpu_clusters.rehearsal.providers.values import Properties


def _role(made: Making) -> Properties:
    unique = f"AROA{digits(made.seed, 17).upper()}"
    return {"uniqueId": unique, "createDate": CREATED, "path": "/", "maxSessionDuration": 3600, "description": ""}


def _policy(made: Making) -> Properties:
    return {"policyId": f"ANPA{digits(made.seed, 17).upper()}", "attachmentCount": 0, "path": "/", "description": ""}


def _instance_profile(made: Making) -> Properties:
    return {"uniqueId": f"AIPA{digits(made.seed, 17).upper()}", "createDate": CREATED, "path": "/"}


def _oidc(made: Making) -> Properties:
    return {"thumbprintLists": [digits(made.seed, 40)], "url": text(made.known, "url").removeprefix("https://")}


def _addon(made: Making) -> Properties:  # noqa: ARG001 - as the others
    return {"addonVersion": "simulated", "createdAt": CREATED, "modifiedAt": CREATED, "configurationValues": ""}


def _access_entry(made: Making) -> Properties:
    return {
        "accessEntryArn": text(made.known, "arn"),
        "createdAt": CREATED,
        "modifiedAt": CREATED,
        "type": "STANDARD",
        "kubernetesGroups": [],
        "userName": text(made.known, "principalArn"),
    }


def _policy_association(made: Making) -> Properties:  # noqa: ARG001 - as the others
    return {"associatedAt": CREATED, "modifiedAt": CREATED}


def _pod_identity(made: Making) -> Properties:
    return {"associationArn": text(made.known, "arn"), "associationId": made.id, "externalId": ""}


def _status(made: Making) -> Properties:  # noqa: ARG001 - as the others
    return {"status": "ACTIVE"}


def _key(made: Making) -> Properties:
    root = f"arn:{text(made.known, 'arn').split(':')[1]}:iam::{ACCOUNT}:root"
    statement = {"Effect": "Allow", "Principal": {"AWS": root}, "Action": "kms:*", "Resource": "*"}
    return {
        "keyId": made.id,
        "keyUsage": "ENCRYPT_DECRYPT",
        "customerMasterKeySpec": "SYMMETRIC_DEFAULT",
        "isEnabled": True,
        "enableKeyRotation": False,
        "multiRegion": False,
        "policy": json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
        "description": "",
    }


def _alias(made: Making) -> Properties:
    wanted = text(made.known, "targetKeyId")
    key = made.account.get("aws:kms/key:Key", made.region, wanted) or made.account.with_arn(wanted)
    return {"targetKeyArn": key.arn if key else wanted}


def _log_group(made: Making) -> Properties:  # noqa: ARG001 - as the others
    return {"logGroupClass": "STANDARD", "retentionInDays": 0, "kmsKeyId": "", "skipDestroy": False}


def _event_rule(made: Making) -> Properties:  # noqa: ARG001 - as the others
    return {"eventBusName": "default", "state": "ENABLED", "forceDestroy": False}


def _queue(made: Making) -> Properties:
    return {
        "url": made.id,
        "visibilityTimeoutSeconds": 30,
        "messageRetentionSeconds": 345600,
        "maxMessageSize": 1048576,
        "delaySeconds": 0,
        "receiveWaitTimeSeconds": 0,
        "fifoQueue": False,
    }


def _bucket(made: Making) -> Properties:
    name = text(made.known, "bucket")
    return {
        "bucketDomainName": f"{name}.s3.{domain(made.region)}",
        "bucketRegionalDomainName": f"{name}.s3.{made.region}.{domain(made.region)}",
        "hostedZoneId": "",
        "forceDestroy": False,
    }


def _file_system(made: Making) -> Properties:
    return {
        "dnsName": f"{made.id}.efs.{made.region}.{domain(made.region)}",
        "creationToken": made.id,
        "ownerId": ACCOUNT,
        "numberOfMountTargets": 0,
        "performanceMode": "generalPurpose",
        "throughputMode": "bursting",
        "encrypted": False,
        "availabilityZoneId": "",
    }


def _mount_target(made: Making) -> Properties:
    subnet = made.account.get(SUBNET, made.region, text(made.known, "subnetId"))
    zone = at(subnet.outputs, "availabilityZone") if subnet else ""
    name = f"{text(made.known, 'fileSystemId')}.efs.{made.region}.{domain(made.region)}"
    return {"availabilityZoneName": zone, "dnsName": name, "mountTargetDnsName": f"{zone}.{name}", "ownerId": ACCOUNT}


def _lustre(made: Making) -> Properties:
    subnet = made.account.get(SUBNET, made.region, text(at(made.known, "subnetIds")))
    return {
        "dnsName": f"{made.id}.fsx.{made.region}.{domain(made.region)}",
        "mountName": digits(made.seed, 8),
        "networkInterfaceIds": [f"eni-{digits(made.seed, 17)}"],
        "ownerId": ACCOUNT,
        "vpcId": text(subnet.outputs, "vpcId") if subnet else "",
    }


def _parameter(made: Making) -> Properties:  # noqa: ARG001 - as the others
    return {"version": 1, "tier": "Standard", "dataType": "text", "hasValueWo": False, "insecureValue": ""}


def _repository(made: Making) -> Properties:
    name = text(made.known, "name")
    return {
        "registryId": ACCOUNT,
        "repositoryUrl": f"{ACCOUNT}.dkr.ecr.{made.region}.{domain(made.region)}/{name}",
        "imageTagMutability": "MUTABLE",
    }


def _scaling_group(made: Making) -> Properties:
    return {"desiredCapacity": number(made.known, "minSize") or 0, "healthCheckType": "EC2", "defaultCooldown": 300}


OTHER_ANSWERS: Final[Mapping[str, Answer]] = {
    "aws:iam/role:Role": _role,
    "aws:iam/policy:Policy": _policy,
    "aws:iam/instanceProfile:InstanceProfile": _instance_profile,
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": _oidc,
    "aws:eks/addon:Addon": _addon,
    "aws:eks/accessEntry:AccessEntry": _access_entry,
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": _policy_association,
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": _pod_identity,
    "aws:eks/fargateProfile:FargateProfile": _status,
    "aws:kms/key:Key": _key,
    "aws:kms/alias:Alias": _alias,
    "aws:cloudwatch/logGroup:LogGroup": _log_group,
    "aws:cloudwatch/eventRule:EventRule": _event_rule,
    "aws:sqs/queue:Queue": _queue,
    "aws:s3/bucket:Bucket": _bucket,
    "aws:s3/bucketV2:BucketV2": _bucket,
    "aws:efs/fileSystem:FileSystem": _file_system,
    "aws:efs/mountTarget:MountTarget": _mount_target,
    "aws:fsx/lustreFileSystem:LustreFileSystem": _lustre,
    "aws:ssm/parameter:Parameter": _parameter,
    "aws:ecr/repository:Repository": _repository,
    "aws:autoscaling/group:Group": _scaling_group,
}
