"""A program that doesn't use this library, with one of each that a rehearsal has to keep from the real world."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi.dynamic import CreateResult, Resource, ResourceProvider

config = pulumi.Config()
marks = Path(config.require("marks"))


class Declared(pulumi.CustomResource):
    """A resource of a package that has no SDK here."""

    def __init__(
        self, token: str, name: str, inputs: Mapping[str, object], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(token, name, dict(inputs), opts)


class Touching(ResourceProvider):
    """A dynamic provider that would leave a file."""

    def create(self, props: Mapping[str, object]) -> CreateResult:
        (marks / "dynamic").touch()
        return CreateResult("made", dict(props))


class Dynamic(Resource):
    """A resource of that provider."""

    def __init__(self, name: str) -> None:
        super().__init__(Touching(), name, {})


(marks / "environment.json").write_text(json.dumps(dict(os.environ)))
ambient = kubernetes.core.v1.Namespace("space", metadata={"name": "space"})
kubernetes.core.v1.ConfigMap(
    "words",
    metadata={"namespace": ambient.metadata.name, "name": "words"},
    data={"secret": config.require_secret("word"), "inner": config.require_object("tree")["inner"]},
)
user = kubernetes.Provider("user", kubeconfig=Path(config.require("kubeconfig")).read_text())
kubernetes.core.v1.ConfigMap("other", opts=pulumi.ResourceOptions(provider=user))
Declared("example:index:Thing", "kept", {"size": 1}, pulumi.ResourceOptions(protect=True))
Declared("nosdk:index:Thing", "retained", {"size": 1}, pulumi.ResourceOptions(retain_on_delete=True))
Declared("command:remote:Command", "remote", {"create": "true", "connection": {"host": "192.0.2.1"}})
Declared("command:local:Command", "local", {"create": f"touch {marks / 'local'}"})
Dynamic("dynamic")
kubernetes.core.v1.ConfigMap("bad", metadata={"name": "Not_A_Name"})
