"""`up`, `preview`, `refresh` and `destroy` as their users run them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Generator
from pathlib import Path
from typing import cast

import pytest
from cluster_api import Api, Json, at
from engine_project import Project
from gpu_clusters.controlplane import Sandbox

KEYS = ["stack", "engine", "kubernetesProvider", "result", "changes", "durationSeconds", "errors"]
NAMESPACE = """
import pulumi
import pulumi_kubernetes as kubernetes
from gpu_clusters.controlplane import Sandbox
options = pulumi.ResourceOptions(provider=kubernetes.Provider("sandbox", kubeconfig=Sandbox("{sandbox}").kubeconfig()))
kubernetes.core.v1.Namespace("space", metadata={{"name": "{name}"}}, opts=options)
"""
CONFIG_ERRORS = """
from gpu_clusters.errors import ConfigError, ConfigErrors
raise ConfigErrors([ConfigError("gpus", "is 0", "make it 1", file="a.yaml", line=3), ConfigError("x", "y", "z")])
"""
_numbers = itertools.count()


@pytest.fixture
def new_project(sandbox: Sandbox, api: Api, tmp_path: Path) -> Generator[Callable[[], Project]]:
    """Makes projects, whose stacks are taken down at the end."""
    made: list[Project] = []

    def make() -> Project:
        project = Project(tmp_path / str(len(made)), f"verbs{next(_numbers)}", sandbox.name)
        project.write()
        made.append(project)
        return project

    if not api.exists("/api/v1/nodes/verbs"):
        api.node("verbs", {"cpu": "64", "memory": "64Gi", "pods": "110"})
    yield make
    for project in made:
        project.take_down()


def test_a_stack_goes_up_stays_as_it_is_and_goes_down_without_a_trace(
    new_project: Callable[[], Project], api: Api, engine_state: Path
) -> None:
    project = new_project()
    before = project.files()
    first = project.run("up", "--stack", "sandbox", "--json").json()
    assert list(first) == [*KEYS, "outputs", "overview"]
    assert (first["stack"], first["result"], first["errors"]) == ("sandbox", "succeeded", [])
    # The stack itself and its provider are resources, too.
    assert first["changes"] == {"create": 37, "update": 0, "replace": 0, "delete": 0, "same": 0}
    assert at(first, "outputs")["word"] == "[secret]"
    assert str(at(first, "outputs")["address"]).startswith("10.96.")
    assert project.objects(api) == project.expected(0)

    again = project.run("up", "--stack", "sandbox")
    assert "nothing to change; 37 resources are as they should be" in again.err
    assert "created" not in again.err
    assert "kubectl --kubeconfig" in again.err
    assert "gpu-clusters destroy --stack sandbox --remove" in again.err
    assert project.files() == before

    gone = project.run("destroy", "--stack", "sandbox", "--remove", "--json").json()
    assert at(gone, "changes")["delete"] == 37
    assert project.objects(api) == {}
    assert project.files() == before
    assert [path.name for path in engine_state.iterdir()] == ["sandboxes"]


def test_a_preview_shows_what_would_change_and_changes_nothing(new_project: Callable[[], Project], api: Api) -> None:
    project = new_project()
    project.run("up", "--stack", "sandbox")
    shown = project.run("preview", "--stack", "sandbox", "--json", generation=1).json()
    assert list(shown) == [*KEYS, "steps"]
    assert shown["changes"] == {"create": 10, "update": 20, "replace": 0, "delete": 10, "same": 7}
    steps = {(step["op"], step["name"]): step for step in _objects(shown["steps"])}
    kept = steps["update", "kept-3"]
    assert (kept["type"], kept["diff"], kept["replaceReasons"]) == (
        "kubernetes:core/v1:ConfigMap",
        {"data.value": "update"},
        [],
    )
    assert ("create", "of-1-0") in steps
    assert ("delete", "of-0-0") in steps
    assert project.objects(api) == project.expected(0)
    refused = project.run("preview", "--stack", "sandbox", "--expect-no-changes", generation=1, expect=1)
    assert "+ create   kubernetes:core/v1:ConfigMap of-1-0" in refused.out
    project.run("preview", "--stack", "sandbox", "--expect-no-changes")


def test_a_refresh_sees_what_others_deleted_and_up_brings_it_back(new_project: Callable[[], Project], api: Api) -> None:
    project = new_project()
    project.run("up", "--stack", "sandbox")
    api.delete(f"/api/v1/namespaces/{project.name}-1/configmaps/kept-1")
    assert at(project.run("refresh", "--stack", "sandbox", "--json").json(), "changes")["delete"] == 1
    assert at(project.run("up", "--stack", "sandbox", "--json").json(), "changes")["create"] == 1
    assert project.objects(api) == project.expected(0)


def test_what_the_api_server_refuses_is_said_in_its_own_words(new_project: Callable[[], Project]) -> None:
    project = new_project()
    project.write(NAMESPACE.format(sandbox=project.sandbox, name="Not_A_Name"))
    refused = project.run("up", "--stack", "sandbox", "--json", expect=1)
    document = refused.json()
    assert document["result"] == "failed"
    (error,) = _objects(document["errors"])
    assert error["resource"] == "kubernetes:core/v1:Namespace space"
    assert "a lowercase RFC 1123 label must consist of" in str(error["message"])
    assert "a lowercase RFC 1123 label must consist of" in refused.err


def test_errors_of_the_configuration_reach_the_user_whole(new_project: Callable[[], Project]) -> None:
    project = new_project()
    project.write(CONFIG_ERRORS)
    ended = project.run("up", "--stack", "sandbox", "--json", expect=2)
    one, two = _objects(ended.json()["errors"])
    assert one == {
        "path": "gpus",
        "problem": "is 0",
        "remedy": "make it 1",
        "id": "invalid-value",
        "file": "a.yaml",
        "line": 3,
    }
    assert two["path"] == "x"
    assert "a.yaml:3: gpus: is 0; make it 1" in ended.err


def test_a_mistake_in_the_program_is_shown_where_it_is(new_project: Callable[[], Project]) -> None:
    project = new_project()
    for program, place in (
        ("nonsense\n", ":1"),
        ("import pulumi\npulumi.Output.from_input(1).apply(lambda x: 1 / 0)\n", ":2"),
    ):
        project.write(program)
        ended = project.run("up", "--stack", "sandbox", expect=1)
        assert f"{project.folder / '__main__.py'}{place}" in ended.err
        assert "site-packages" not in ended.err


def test_a_sandbox_that_does_not_run_is_named_with_what_starts_it(tmp_path: Path, engine_state: Path) -> None:
    project = Project(tmp_path, "absent", "nowhere")
    project.write()
    for verb in ("up", "preview", "refresh"):
        ended = project.run(verb, "--stack", "sandbox", "--json", expect=1)
        (error,) = _objects(ended.json()["errors"])
        assert error["remedy"] == "start it with: gpu-clusters sandbox start --name nowhere"
    assert not (engine_state / "workspaces" / "absent").exists()


def test_a_stack_is_destroyed_although_its_sandbox_is_no_more(
    tmp_path: Path, engine_state: Path, sandbox: Sandbox
) -> None:
    assert sandbox.status().state == "running"
    other = Sandbox("shortlived")
    project = Project(tmp_path, "shortlived", other.name)
    project.write(NAMESPACE.format(sandbox=other.name, name="shortlived"))
    try:
        other.start()
        project.run("up", "--stack", "sandbox")
    finally:
        other.stop(delete_data=True)
    gone = project.run("destroy", "--stack", "sandbox", "--remove", "--json").json()
    assert at(gone, "changes")["delete"] == 3
    assert not (engine_state / "workspaces" / "shortlived").exists()


def test_any_other_stack_is_never_given_a_simulated_provider(
    new_project: Callable[[], Project], tmp_path: Path
) -> None:
    project = new_project()
    (project.folder / "stacks" / "Pulumi.production.yaml").write_text(f"config:\n  {project.name}:word: a\n")
    project.write(NAMESPACE.format(sandbox=project.sandbox, name=f"{project.name}-real"))
    backend = tmp_path / "backend"
    backend.mkdir()
    environment = {
        "PULUMI_BACKEND_URL": backend.as_uri(),
        "PULUMI_CONFIG_PASSPHRASE": "a",
        "PULUMI_HOME": str(tmp_path / "home"),
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "1",
        "PULUMI_IGNORE_AMBIENT_PLUGINS": "1",
    }
    asked = project.run("up", "--stack", "production", environment=environment, expect=2)
    assert "add --yes" in asked.err
    ended = project.run("up", "--stack", "production", "--yes", "--json", environment=environment, expect=1)
    assert at(ended.json(), "kubernetesProvider")["kind"] == "plugin"
    assert "pulumi plugin install resource kubernetes" in ended.err
    state = json.loads((backend / ".pulumi" / "stacks" / project.name / "production.json").read_bytes())
    types = {resource["type"] for resource in _objects(state["checkpoint"]["latest"].get("resources") or [])}
    assert types <= {"pulumi:pulumi:Stack"}


def _objects(value: object) -> list[Json]:
    assert isinstance(value, list)
    return cast("list[Json]", value)
