"""The program of the engine's tests: namespaces, config maps, half of them named automatically, and a service.

In each generation the `kept` config maps change, the last one's `of` config maps go, and new ones come.
"""

from __future__ import annotations

import os

import pulumi
import pulumi_kubernetes as kubernetes
from engine_project import CONFIG_MAPS, FLEETING
from gpu_clusters.controlplane import Sandbox
from pulumi_kubernetes.apps.v1 import DeploymentSpecArgs
from pulumi_kubernetes.core.v1 import ContainerArgs, PodSpecArgs, PodTemplateSpecArgs, TolerationArgs
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs

project, generation = pulumi.get_project(), os.environ["GENERATION"]
sandbox = pulumi.Config("gpu-clusters").require("sandbox")
provider = kubernetes.Provider("sandbox", kubeconfig=pulumi.Output.secret(Sandbox(sandbox).kubeconfig()))
options = pulumi.ResourceOptions(provider=provider)
namespaces = [
    kubernetes.core.v1.Namespace(f"space-{number}", metadata={"name": f"{project}-{number}"}, opts=options)
    for number in range(3)
]
names = [f"kept-{number}" for number in range(CONFIG_MAPS)] + [f"of-{generation}-{n}" for n in range(FLEETING)]
for number, name in enumerate(names):
    place = 0 if name.startswith("of-") else number % 3
    metadata = ObjectMetaArgs(namespace=namespaces[place].metadata.name, name=name if number % 2 else None)
    kubernetes.core.v1.ConfigMap(name, metadata=metadata, data={"value": generation}, opts=options)

marks = {"app": "web"}
deployment = kubernetes.apps.v1.Deployment(
    "web",
    metadata={"namespace": namespaces[0].metadata.name, "name": "web"},
    spec=DeploymentSpecArgs(
        replicas=2,
        selector=LabelSelectorArgs(match_labels=marks),
        template=PodTemplateSpecArgs(
            metadata=ObjectMetaArgs(labels=marks),
            spec=PodSpecArgs(
                containers=[ContainerArgs(name="web", image="registry.example/web:1")],
                tolerations=[TolerationArgs(operator="Exists")],
            ),
        ),
    ),
    opts=options,
)
service = kubernetes.core.v1.Service(
    "web",
    metadata={"namespace": namespaces[0].metadata.name, "name": "web"},
    spec={"selector": marks, "ports": [{"port": 80}]},
    opts=pulumi.ResourceOptions(provider=provider, depends_on=[deployment]),
)
pulumi.export("address", service.spec.cluster_ip)
pulumi.export("word", pulumi.Output.secret(pulumi.Config().require("word")))
