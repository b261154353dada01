"""The design's rules, held against the source: who imports whom, and what nobody does."""

from __future__ import annotations

import ast
import gc
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import gpu_clusters
import pytest

PACKAGE = Path(gpu_clusters.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
PLATFORMS = ("eks", "gke", "onprem", "existing", "sandbox")

#: What each part may import of the library beside itself and the parts that everything may. In order: a part may
#: import those above it in this table as far as it names them.
EVERYONE = {"_spec", "errors", "labels", "data", "gpus", "priorities", "_paths", "_files"}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "labels": set(),
    "priorities": set(),
    "_paths": set(),
    "_files": set(),
    "data": set(),
    "_spec": set(),
    "gpus": set(),
    "images": set(),
    "pools": set(),
    "findings": set(),
    "cluster": {"images", "pools"},
    "policies": set(),
    "devices": {"cluster", "images", "pools", "findings"},
    "namespaces": {"cluster", "findings", "images", "pools"},
    "serving": {"cluster", "findings", "images", "pools", "namespaces"},
    "toolchain": set(),
    "kube": set(),
    "controlplane": {"kube", "toolchain"},
    "sandbox": {"cluster", "controlplane", "devices", "findings", "images", "policies", "pools"},
    "eks": {"cluster", "devices", "findings", "images", "policies", "pools"},
    "preview": {"findings"},
    "_yaml": set(),
    "_hints": {"_yaml"},
    "_refusals": {"_hints"},
    "_loading": {"_hints", "_refusals", "_yaml"},
    "config": {"_hints", "_loading", "_yaml", "eks", "namespaces", "sandbox", "serving"},
    "stack": {"_hints", "cluster", "config", "eks", "namespaces", "sandbox", "serving"},
    "rehearsal": {"config", "controlplane", "eks", "findings", "kube", "stack", "toolchain"},
    "cli": {"config", "controlplane", "rehearsal", "toolchain"},
    "__init__": {"cluster", "findings", "images", "namespaces", "policies", "pools", "serving"},
}
NO_PULUMI = (
    *("_files", "_hints", "_loading", "_paths", "_refusals", "_spec", "_yaml", "cluster", "config", "controlplane"),
    *("data", "errors", "gpus", "images", "kube", "labels", "pools", "priorities", "toolchain"),
)
#: Modules of parts that are free of Pulumi, though the part is not.
NO_PULUMI_MODULES = (
    *("args", "machines", "choice", "claims", "models", "plan", "sizing"),
    *("access_entries", "addresses", "autoscaling", "karpenter_policies", "networks", "node_pools", "regions"),
    *("cluster_checks", "fabric", "machine_checks", "pool_checks", "pool_facts", "pools", "quotas", "userdata"),
)
EXTRAS = {"pulumi_aws": "eks", "pulumi_gcp": "gke", "pulumi_command": "onprem"}
_HEAVY = ("pulumi", "pydantic", "urllib3", "grpc", "cryptography")


def part(path: Path) -> str:
    """The part of the library that a module belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def is_pulumi_free(path: Path) -> bool:
    return part(path) in NO_PULUMI or path.stem in NO_PULUMI_MODULES


@cache
def tree(path: Path) -> ast.Module:
    # For the reason that conftest.py gives, no finalizer may run meanwhile.
    gc.disable()
    try:
        return ast.parse(path.read_text())
    finally:
        gc.enable()


def imports(path: Path, *, at_run_time_only: bool = False) -> Iterator[str]:
    """The modules that a module imports; those for type checkers only are left out if asked."""
    skipped: set[int] = set()
    for node in ast.walk(tree(path)):
        if at_run_time_only and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            skipped.update(id(below) for below in ast.walk(node))
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            if node.module == "gpu_clusters":
                yield from (f"gpu_clusters.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_each_part_imports_only_what_the_design_allows(path: Path) -> None:
    own = part(path)
    used = {name.split(".")[1] for name in imports(path) if name.startswith("gpu_clusters.")}
    assert used - {own} - EVERYONE <= MAY_IMPORT[own]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_clouds_sdks_belong_to_their_platform_and_platforms_to_themselves(path: Path) -> None:
    own = part(path)
    for name in imports(path):
        head = name.split(".")[0]
        assert EXTRAS.get(head, own) == own, f"{head} is an extra, and its platform's alone"
        if own in PLATFORMS and name.startswith("gpu_clusters."):
            assert name.split(".")[1] not in set(PLATFORMS) - {own}


@pytest.mark.parametrize("path", [*filter(is_pulumi_free, MODULES)], ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_that_need_no_pulumi_import_none(path: Path) -> None:
    heads = {name.split(".")[0] for name in imports(path, at_run_time_only=True)}
    assert not heads & {"pulumi", "pulumi_kubernetes", "pulumi_aws", "pulumi_gcp", "pulumi_command"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_calls_a_providers_function(path: Path) -> None:
    roots = {"k8s", "aws", "gcp", "command", "pulumi_kubernetes", "pulumi_aws", "pulumi_gcp"}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            called = ast.unparse(node.func)
            assert not (called.split(".")[0] in roots and node.func.attr.startswith("get")), called


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_and_functions_stay_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= 60, f"{node.name}: {length} lines"


def test_only_one_place_tells_platforms_apart() -> None:
    matches = [path.name for path in MODULES for node in ast.walk(tree(path)) if isinstance(node, ast.Match)]
    assert matches.count("stack.py") == 1
    for path in MODULES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Compare):
                assert "platform.name ==" not in ast.unparse(node), path


def test_the_public_names_are_sorted_and_all_there() -> None:
    assert gpu_clusters.__all__ == sorted(gpu_clusters.__all__)
    assert all(getattr(gpu_clusters, name) is not None for name in gpu_clusters.__all__)
    assert set(gpu_clusters.__all__) <= set(dir(gpu_clusters))
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = gpu_clusters.Nothing  # pyright: ignore[reportAttributeAccessIssue]


def loaded_by(code: str) -> set[str]:
    """Which heavy packages a fresh interpreter has loaded after running some code."""
    listing = f"{code}\nimport sys\nprint(*[name for name in {_HEAVY!r} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", listing], check=True, capture_output=True, text=True)
    return set(run.stdout.splitlines()[-1].split()) if run.stdout.strip() else set()


@pytest.mark.parametrize(
    ("code", "loads"),
    [
        ("import gpu_clusters", set[str]()),
        ("from gpu_clusters import Gpu, GpuPool, LlmServiceArgs", set[str]()),
        ("import gpu_clusters.cli.app", set[str]()),
        ("import gpu_clusters.config", set[str]()),
        ("from gpu_clusters.controlplane import Sandbox; Sandbox('x').status()", set[str]()),
    ],
)
def test_nothing_heavy_is_loaded_before_it_is_needed(code: str, loads: set[str]) -> None:
    assert loaded_by(code) == loads


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_importing_does_nothing(path: Path) -> None:
    """No statement at a module's top level but definitions, assignments and imports."""
    allowed = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign)
    allowed += (ast.AnnAssign, ast.AugAssign, ast.If)
    for node in tree(path).body:
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        registers = part(path) == "cli" and isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
        assert docstring or registers or isinstance(node, allowed), ast.unparse(node)
