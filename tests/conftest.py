"""What all tests share."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from gpu_clusters.controlplane import Sandbox


@pytest.fixture
def recorded_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a SandboxCluster be built where no sandbox runs: for recordings, which reach no cluster."""

    def kubeconfig(_: Sandbox) -> str:
        return "a kubeconfig"

    def identity(_: Sandbox) -> str:
        return "an identity"

    monkeypatch.setattr(Sandbox, "kubeconfig", kubeconfig)
    monkeypatch.setattr(Sandbox, "identity", identity)


@pytest.fixture
def root() -> Path:
    """The project's folder."""
    return Path(__file__).parents[1]


def pytest_collection() -> None:
    """Collect no garbage while pytest parses the tests.

    A finalizer that parses as well, such as one that shows a traceback, makes some releases of CPython 3.11 fail with
    "AST constructor recursion depth mismatch" (python/cpython issue 106905).
    """
    gc.disable()


def pytest_collection_finish() -> None:
    gc.enable()
