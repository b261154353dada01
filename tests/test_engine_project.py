"""Projects and stacks, as their files say."""

from __future__ import annotations

from pathlib import Path

import pytest
from gpu_clusters.errors import ConfigErrors, GpuClustersError, UsageError
from gpu_clusters.rehearsal.engine.project import Project, find_project

SANDBOXES = {
    "config: {gpu-clusters:cluster: {platform: sandbox}}": "default",
    "config: {gpu-clusters:cluster: {platform: sandbox, sandbox: mine}}": "mine",
    "config: {gpu-clusters:cluster: {platform: sandbox}, gpu-clusters:sandbox: mine}": "default",
    "config: {gpu-clusters:sandbox: mine}": "mine",
    # Without a namespace a key belongs to the project, which here has another name.
    "config: {cluster: {platform: sandbox}}": None,
    "config: {gpu-clusters:cluster: {platform: eks}}": None,
    # What would touch something real is never taken for a sandbox.
    "config: {gpu-clusters:cluster: {platform: eks, sandbox: mine}, gpu-clusters:sandbox: mine}": None,
    "config: {gpu-clusters:cluster: nonsense}": None,
    "config: [nonsense]": None,
    "{}": None,
}
UNREADABLE = {
    "empty": (b"", "a.yaml: the file is empty; "),
    "only a comment": (b"# nothing\n", "a.yaml: the file is empty; "),
    "no YAML": (b"a: 1\nb: [\n", "a.yaml:3: is not YAML: "),
    "a list": (b"- 1\n", "a.yaml:1: must be a mapping of keys to values; "),
    "not UTF-8": (b"a: \xff\n", "a.yaml: can't be read: "),
}
PROJECTS = {
    "runtime: python\n": "name: is missing or no text; give the project a name",
    "name: a\nruntime: nodejs\n": "is for the runtime 'nodejs', not python; use `pulumi` itself",
    "name: a\nruntime: {name: go}\n": "is for the runtime 'go', not python; use `pulumi` itself",
    "name: a\n": "is for the runtime None, not python; use `pulumi` itself",
}


def _project(folder: Path, settings: str = "name: demo\nruntime: python\n") -> Project:
    (folder / "Pulumi.yaml").write_text(settings)
    return find_project(folder)


@pytest.mark.parametrize(("text", "sandbox"), SANDBOXES.items())
def test_a_stack_says_whether_it_runs_on_a_sandbox(tmp_path: Path, text: str, sandbox: str | None) -> None:
    (tmp_path / "Pulumi.a.yaml").write_text(text)
    assert _project(tmp_path).stack("a").sandbox == sandbox


def test_a_key_without_namespace_belongs_to_the_project(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.a.yaml").write_text("config: {cluster: {platform: sandbox}}")
    assert _project(tmp_path, "name: gpu-clusters\nruntime: {name: python}\n").stack("a").sandbox == "default"


@pytest.mark.parametrize(("content", "message"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_stack_file_that_cannot_be_used_is_named_with_the_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "Pulumi.a.yaml").write_bytes(content)
    with pytest.raises(ConfigErrors) as raised:
        _project(tmp_path).stack("a")
    assert str(raised.value).startswith(f"{tmp_path}/Pulumi.{message}")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("settings", "message"), PROJECTS.items())
def test_a_project_that_cannot_be_used_says_why(tmp_path: Path, settings: str, message: str) -> None:
    with pytest.raises(GpuClustersError) as raised:
        _project(tmp_path, settings)
    assert str(raised.value).endswith(message)
    assert raised.value.exit_code == 2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sandbix", "there is no stack 'sandbix' in {}; did you mean 'sandbox'? there are: prod, sandbox"),
        ("zzz", "there is no stack 'zzz' in {}; there are: prod, sandbox"),
        ("org/demo/dev", "there is no stack 'org/demo/dev' in {}; there are: prod, sandbox"),
        ("a b", "'a b' can't be a stack's name; use letters, digits, dots, dashes and underscores"),
        ("", "'' can't be a stack's name; use letters, digits, dots, dashes and underscores"),
        (
            "../../etc/passwd",
            "'../../etc/passwd' can't be a stack's name; use letters, digits, dots, dashes and underscores",
        ),
    ],
)
def test_a_stack_without_a_file_is_a_usage_error_with_those_there_are(tmp_path: Path, name: str, message: str) -> None:
    project = _project(tmp_path, "name: demo\nruntime: python\nstackConfigDir: stacks\n")
    (tmp_path / "stacks").mkdir()
    for stack in ("sandbox", "prod"):
        (tmp_path / "stacks" / f"Pulumi.{stack}.yaml").write_text("config: {}\n")
    with pytest.raises(UsageError) as raised:
        project.stack(name)
    assert str(raised.value) == message.format(tmp_path / "stacks")


def test_a_stack_may_be_named_with_its_organization(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.dev.yml").write_text("config: {}\n")
    stack = _project(tmp_path).stack("acme/demo/dev")
    assert (stack.name, stack.short_name, stack.path.name) == ("acme/demo/dev", "dev", "Pulumi.dev.yml")


def test_the_project_is_the_nearest_one_upwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _project(tmp_path)
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert find_project().directory == tmp_path
    with pytest.raises(UsageError, match=r"there is no Pulumi\.yaml in"):
        find_project(below)


@pytest.mark.parametrize(
    ("main", "program"), [("", "__main__.py"), ("main: src\n", "src/__main__.py"), ("main: a.py\n", "a.py")]
)
def test_the_program_is_where_pulumi_looks_for_it(tmp_path: Path, main: str, program: str) -> None:
    assert _project(tmp_path, f"name: demo\nruntime: python\n{main}").program == tmp_path / program
